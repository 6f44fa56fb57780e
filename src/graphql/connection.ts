import 'reflect-metadata'
import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql'
import { InvalidInput } from '../platform/errors.js'
import { WhenSelected } from './when-selected.js'

export const MAX_PAGE = 100
const DEFAULT_PAGE = 20

@ArgsType()
export class PageArgs {
  // Nullable as in the contract: an explicit null means the default.
  @Field(() => Int, { nullable: true, defaultValue: DEFAULT_PAGE, description: 'How many, at most 100' })
  first!: number

  @Field(() => String, { nullable: true, description: 'The cursor after which the page starts' })
  after?: string
}

@ObjectType()
export class PageInfo {
  @Field(() => Boolean)
  hasNextPage!: boolean

  @Field(() => Boolean)
  hasPreviousPage!: boolean

  @Field(() => String, { nullable: true })
  startCursor!: string | null

  @Field(() => String, { nullable: true })
  endCursor!: string | null
}

export interface Edge<Node> {
  node: Node
  cursor: string
}

/** What a list field returns; `totalCount` is asked for only when a client selects it. */
export interface Connection<Node> {
  edges: Edge<Node>[]
  nodes: Node[]
  pageInfo: PageInfo
  totalCount: () => Promise<number>
}

/** The Relay connection type of a node type: `export const UserConnection = connectionType('User', () => UserType)`. */
export function connectionType<Node extends object>(name: string, node: () => ClassType<Node>) {
  @ObjectType(`${name}Edge`)
  class NodeEdge {
    @Field(node)
    node!: Node

    @Field(() => String)
    cursor!: string
  }

  @ObjectType(`${name}Connection`)
  class NodeConnection {
    @Field(() => [NodeEdge])
    edges!: NodeEdge[]

    @Field(() => [node()])
    nodes!: Node[]

    @Field(() => PageInfo)
    pageInfo!: PageInfo

    @WhenSelected()
    @Field(() => Int, { description: 'All entries that match; counted only when selected' })
    totalCount!: number
  }
  return NodeConnection
}

/** Sort key and id of the last row seen, both as text. */
export type Cursor = readonly [sortKey: string, id: string]

interface PageOf<Row, Node> extends PageArgs {
  /** Rows after `cursor` in order, at most `limit`. */
  fetch(cursor: Cursor | undefined, limit: number): Promise<Row[]>
  cursorOf(row: Row): Cursor
  nodeOf(row: Row): Node
  count(): Promise<number>
}

/** The only pagination: keyset over (sort key, id), one row more than asked to know whether a next page exists. */
export async function pageOf<Row, Node>({
  first: asked,
  after,
  fetch,
  cursorOf,
  nodeOf,
  count,
}: PageOf<Row, Node>): Promise<Connection<Node>> {
  const first = asked ?? DEFAULT_PAGE
  checkFirst(first)
  const rows = await fetch(after === undefined || after === null ? undefined : decodeCursor(after), first + 1)
  const page = rows.slice(0, first)
  const edges = page.map(row => ({ node: nodeOf(row), cursor: encodeCursor(cursorOf(row)) }))
  return {
    edges,
    nodes: edges.map(edge => edge.node),
    pageInfo: {
      hasNextPage: rows.length > first,
      hasPreviousPage: after !== undefined && after !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount: count,
  }
}

/** `first` is 0 … 100; more is an error, never a silent cut. */
export function checkFirst(first: number, maximum = MAX_PAGE): void {
  if (first < 0 || first > maximum) throw new InvalidInput(`first must be between 0 and ${maximum}, not ${first}`, {}, ['first'])
}

export function encodeCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url')
}

export function decodeCursor(text: string): Cursor {
  try {
    const cursor = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    const whole = Array.isArray(cursor) && cursor.length === 2 && cursor.every(part => typeof part === 'string' && !part.includes('\0'))
    if (whole && encodeCursor(cursor as unknown as Cursor) === text) return cursor as unknown as Cursor
  } catch {
    // falls through to the one sentence for every malformed cursor
  }
  throw new InvalidInput('after is not a cursor of this list', {}, ['after'])
}
