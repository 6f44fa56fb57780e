/** The module with `{ ...a, b }` written as calls; undefined where there is none. */
export function withoutSpreads(code: string): string | undefined
