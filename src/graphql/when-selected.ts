import { UseMiddleware } from 'type-graphql'

/** The field holds a function on its source object, which is called only when a client selects the field: what it costs is saved otherwise. */
export const WhenSelected = () =>
  UseMiddleware(async (_, next) => {
    const value: unknown = await next()
    return typeof value === 'function' ? value() : value
  })
