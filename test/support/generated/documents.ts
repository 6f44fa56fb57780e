/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';
/** An attribute that a product must have */
export type AttributeWhere = {
  name: string;
  /** As text; of a list one of its entries. Without it the attribute must only be there */
  value?: string | null | undefined;
};

/** One of userId and anonymousId is needed; ids are those of the shop */
export type EventInput = {
  anonymousId?: string | null | undefined;
  /** ISO 4217; the account's currency unless given */
  currency?: string | null | undefined;
  /** Makes a resend harmless; without it the content is the id */
  messageId?: string | null | undefined;
  /** Of one piece, in units of the currency */
  price?: number | null | undefined;
  productId?: string | null | undefined;
  properties?: unknown;
  /** A PURCHASE of negative quantity is a REFUND */
  quantity?: number | null | undefined;
  /** When it happened; now unless given */
  timestamp?: string | number | null | undefined;
  type: EventType;
  userId?: string | null | undefined;
  /** Stars of a RATING; else what the shop counts */
  value?: number | null | undefined;
};

export type EventStatus =
  | 'ACCEPTED'
  | 'DUPLICATE'
  | 'REJECTED';

/** What a visitor did */
export type EventType =
  | 'ADD_TO_CART'
  | 'ADD_TO_WISHLIST'
  | 'CHECKOUT'
  | 'CLICK'
  | 'CUSTOM'
  | 'IMPRESSION'
  | 'PAGE'
  | 'PURCHASE'
  | 'RATING'
  | 'REFUND'
  | 'REMOVE_FROM_CART'
  | 'SEARCH'
  | 'VIEW';

/** All conditions that are given must hold */
export type ProductWhere = {
  /** At most 10 */
  attributes?: Array<AttributeWhere> | null | undefined;
  brand?: string | null | undefined;
  category?: string | null | undefined;
  /** true: at least one is there, or it is not counted */
  inStock?: boolean | null | undefined;
  /** At least this share of the price stays with the shop, 0 to 1 */
  marginShareMin?: number | null | undefined;
  priceMaxMicros?: number | string | null | undefined;
  priceMinMicros?: number | string | null | undefined;
  /** Words or parts of words that the title has, in any order and case; or the beginning of the external id */
  search?: string | null | undefined;
  /** Whether the product is known only from events */
  stub?: boolean | null | undefined;
};

/** AUTO takes the live model */
export type RecommendationAlgorithm =
  | 'AUTO'
  | 'CONTENT'
  | 'EASE'
  | 'HYBRID'
  | 'IALS'
  | 'ITEM_CF'
  | 'POPULARITY'
  | 'REPEAT'
  | 'RERANK'
  | 'RP3BETA'
  | 'SLIM'
  | 'TRENDING'
  | 'USER_CF';

export type UserErrorCode =
  | 'BUDGET_EXCEEDED'
  | 'CONSENT_MISSING'
  | 'DUPLICATE'
  | 'IDEMPOTENCY_IN_PROGRESS'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'ILLEGAL_TRANSITION'
  | 'INVALID'
  | 'NOT_FOUND'
  | 'POLICY_BLOCKED'
  | 'UNAVAILABLE'
  | 'VERSION_CONFLICT';

export type EventsTrackMutationVariables = Exact<{
  events: Array<EventInput> | EventInput;
  idempotencyKey?: string | null | undefined;
}>;


export type EventsTrackMutation = { eventsTrack: { accepted: number | null, duplicates: number | null, rejected: number | null, idempotentReplay: boolean, results: Array<{ index: number, messageId: string | null, status: EventStatus, error: string | null }> | null, userErrors: Array<{ code: UserErrorCode, field: Array<string> | null, message: string }> } };

export type RecommendationsForQueryVariables = Exact<{
  userExternalId?: string | null | undefined;
  first?: number;
  algorithm?: RecommendationAlgorithm;
  diversity?: number;
  where?: ProductWhere | null | undefined;
}>;


export type RecommendationsForQuery = { recommendations: { servedBy: string, algorithm: RecommendationAlgorithm, modelId: string | null, fallbacks: Array<string>, decisionId: string, items: Array<{ rank: number, score: number, product: { externalId: string, categories: Array<string> }, reasons: Array<{ kind: string, text: string, weight: number, products: Array<{ externalId: string }> }> }> } };


export const EventsTrackDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"EventsTrack"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"events"}},"type":{"kind":"NonNullType","type":{"kind":"ListType","type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"EventInput"}}}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"idempotencyKey"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"eventsTrack"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"ObjectValue","fields":[{"kind":"ObjectField","name":{"kind":"Name","value":"events"},"value":{"kind":"Variable","name":{"kind":"Name","value":"events"}}},{"kind":"ObjectField","name":{"kind":"Name","value":"idempotencyKey"},"value":{"kind":"Variable","name":{"kind":"Name","value":"idempotencyKey"}}}]}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"accepted"}},{"kind":"Field","name":{"kind":"Name","value":"duplicates"}},{"kind":"Field","name":{"kind":"Name","value":"rejected"}},{"kind":"Field","name":{"kind":"Name","value":"idempotentReplay"}},{"kind":"Field","name":{"kind":"Name","value":"results"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"messageId"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"error"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"field"}},{"kind":"Field","name":{"kind":"Name","value":"message"}}]}}]}}]}}]} as unknown as DocumentNode<EventsTrackMutation, EventsTrackMutationVariables>;
export const RecommendationsForDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"RecommendationsFor"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"userExternalId"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},"defaultValue":{"kind":"IntValue","value":"10"}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"algorithm"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"RecommendationAlgorithm"}}},"defaultValue":{"kind":"EnumValue","value":"AUTO"}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"diversity"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Float"}}},"defaultValue":{"kind":"IntValue","value":"0"}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"where"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"ProductWhere"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"recommendations"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"userExternalId"},"value":{"kind":"Variable","name":{"kind":"Name","value":"userExternalId"}}},{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"algorithm"},"value":{"kind":"Variable","name":{"kind":"Name","value":"algorithm"}}},{"kind":"Argument","name":{"kind":"Name","value":"diversity"},"value":{"kind":"Variable","name":{"kind":"Name","value":"diversity"}}},{"kind":"Argument","name":{"kind":"Name","value":"where"},"value":{"kind":"Variable","name":{"kind":"Name","value":"where"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"servedBy"}},{"kind":"Field","name":{"kind":"Name","value":"algorithm"}},{"kind":"Field","name":{"kind":"Name","value":"modelId"}},{"kind":"Field","name":{"kind":"Name","value":"fallbacks"}},{"kind":"Field","name":{"kind":"Name","value":"decisionId"}},{"kind":"Field","name":{"kind":"Name","value":"items"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"rank"}},{"kind":"Field","name":{"kind":"Name","value":"score"}},{"kind":"Field","name":{"kind":"Name","value":"product"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"externalId"}},{"kind":"Field","name":{"kind":"Name","value":"categories"}}]}},{"kind":"Field","name":{"kind":"Name","value":"reasons"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"text"}},{"kind":"Field","name":{"kind":"Name","value":"weight"}},{"kind":"Field","name":{"kind":"Name","value":"products"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"externalId"}}]}}]}}]}}]}}]}}]} as unknown as DocumentNode<RecommendationsForQuery, RecommendationsForQueryVariables>;