import { isAbsent, type RawEvent, RowFault } from './event-rules.js'

/** A message of the Segment HTTP tracking API (Spec: Common fields). */
export interface SegmentMessage {
  type?: unknown
  messageId?: unknown
  userId?: unknown
  anonymousId?: unknown
  previousId?: unknown
  groupId?: unknown
  event?: unknown
  name?: unknown
  properties?: unknown
  traits?: unknown
  context?: unknown
  timestamp?: unknown
  originalTimestamp?: unknown
  sentAt?: unknown
}

type Properties = Record<string, unknown>

export interface SegmentEvent extends RawEvent {
  /** Place in the message's list of products, where it comes from one. */
  line?: number
}

/** Event names of the Segment e-commerce specification (version 2), in lower case, and what they are here. */
const ONE_PRODUCT: Record<string, RawEvent['type']> = {
  'product viewed': 'VIEW',
  'product clicked': 'CLICK',
  'product added': 'ADD_TO_CART',
  'wishlist product added to cart': 'ADD_TO_CART',
  'product removed': 'REMOVE_FROM_CART',
  'product added to wishlist': 'ADD_TO_WISHLIST',
  'product reviewed': 'RATING',
}
const MANY_PRODUCTS: Record<string, RawEvent['type']> = {
  'product list viewed': 'IMPRESSION',
  'product list filtered': 'IMPRESSION',
  'checkout started': 'CHECKOUT',
  'order completed': 'PURCHASE',
  'order refunded': 'REFUND',
  'order cancelled': 'REFUND',
}

/** The events of one message: an order has one for each of its products, with ids derived from the message's, so that a resend is recognised. */
export function eventsOf(message: SegmentMessage, receivedAt: Date): SegmentEvent[] {
  const properties = objectOf(message.properties)
  const base = { userId: message.userId, anonymousId: message.anonymousId, timestamp: timestampOf(message, receivedAt) }
  if (message.type === 'page' || message.type === 'screen')
    return [{ ...base, messageId: message.messageId, type: 'PAGE', properties: { name: message.name, ...properties } }]
  if (message.type === 'group')
    return [
      {
        ...base,
        messageId: message.messageId,
        type: 'CUSTOM',
        properties: { event: 'Group', groupId: message.groupId, ...objectOf(message.traits) },
      },
    ]
  if (message.type !== 'track') return []
  const name = String(message.event ?? '').toLowerCase()
  if (name === 'products searched') return [{ ...base, messageId: message.messageId, type: 'SEARCH', properties }]
  const single = Object.hasOwn(ONE_PRODUCT, name) ? ONE_PRODUCT[name] : undefined
  if (single && (name !== 'product reviewed' || properties.rating !== undefined)) {
    return [
      {
        ...base,
        messageId: message.messageId,
        type: single,
        ...productFacts(properties, properties),
        value: name === 'product reviewed' ? properties.rating : properties.value,
      },
    ]
  }
  const many = Object.hasOwn(MANY_PRODUCTS, name) ? MANY_PRODUCTS[name] : undefined
  const products = Array.isArray(properties.products) ? properties.products : []
  if (many && products.length > 0) {
    const { products: _, ...rest } = properties
    return products.map((product, index) => ({
      ...base,
      messageId: typeof message.messageId === 'string' ? `${message.messageId}:${index}` : undefined,
      type: many,
      line: index,
      ...productFacts(lineOf(product, index), rest),
    }))
  }
  if (many) {
    // Of an order whose lines are not told, the sum is what it is worth.
    const total = properties.total ?? properties.revenue
    return [
      {
        ...base,
        messageId: message.messageId,
        type: many,
        value: total,
        ...(isAbsent(total) ? {} : { price: total, quantity: 1 }),
        currency: properties.currency,
        properties,
      },
    ]
  }
  return [{ ...base, messageId: message.messageId, type: 'CUSTOM', properties: { event: message.event, ...properties } }]
}

function lineOf(product: unknown, index: number): Properties {
  if (typeof product === 'object' && product !== null && !Array.isArray(product)) return product as Properties
  throw new RowFault(`products.${index}`, `products[${index}] must be an object with a product_id`)
}

export function objectOf(value: unknown): Properties {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Properties) : {}
}

/** When it happened by our clock: the client's own skew (sentAt − timestamp) is taken off, as Segment does. */
export function timestampOf({ timestamp, originalTimestamp, sentAt }: SegmentMessage, receivedAt: Date): unknown {
  const stated = timestamp ?? originalTimestamp
  const [at, sent] = [Date.parse(String(stated)), Date.parse(String(sentAt))]
  if (stated === undefined || stated === null) return receivedAt.getTime()
  if (Number.isNaN(at) || Number.isNaN(sent) || sent < at) return stated
  const corrected = receivedAt.getTime() - (sent - at)
  // A small difference is the way through the network, not a wrong clock.
  return Math.abs(receivedAt.getTime() - sent) < 60_000 ? stated : corrected
}

function productFacts(
  product: Properties,
  properties: Properties,
): Pick<RawEvent, 'productId' | 'quantity' | 'price' | 'currency' | 'properties'> {
  return {
    productId: product.product_id ?? product.productId ?? product.sku ?? product.id,
    quantity: product.quantity,
    price: product.price,
    currency: product.currency ?? properties.currency,
    properties,
  }
}
