import { type ReactNode, useEffect, useState } from 'react'
import { useWords } from './parts.js'

/** A list that is edited row by row. */
export function Rows<Row extends object>({
  title,
  rows,
  fresh,
  onChange,
  cells,
}: {
  title: string
  rows: readonly Row[]
  fresh: Row
  onChange(rows: Row[]): void
  cells(row: Row, change: (part: Partial<Row>) => void): ReactNode
}) {
  const words = useWords()
  return (
    <fieldset>
      <legend>{title}</legend>
      {rows.map((row, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity but their place
        <div className="row" key={at}>
          {cells(row, part => onChange(rows.map((each, index) => (index === at ? { ...each, ...part } : each))))}
          <button type="button" className="plain" onClick={() => onChange(rows.filter((_, index) => index !== at))}>
            {words.removeRow}
          </button>
        </div>
      ))}
      <button type="button" className="plain" onClick={() => onChange([...rows, fresh])}>
        {words.addRow}
      </button>
    </fieldset>
  )
}

/** Keeps what is being typed; tells it when the field is left or the form sent. */
export function TextField({ label, value, onChange }: { label: string; value: string; onChange(value: string): void }) {
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  const tell = () => text !== value && onChange(text)
  return (
    <label>
      {label}
      <input
        value={text}
        onChange={event => setText(event.target.value)}
        onBlur={tell}
        onKeyDown={event => event.key === 'Enter' && tell()}
      />
    </label>
  )
}

export function NumberField({
  label,
  value,
  min = 0,
  max,
  step = 1,
  onChange,
}: {
  label: string
  value: number
  min?: number
  max?: number
  step?: number | 'any'
  onChange(value: number): void
}) {
  return (
    <label className="small">
      {label}
      <input type="number" min={min} max={max} step={step} value={value} onChange={event => onChange(Number(event.target.value))} />
    </label>
  )
}

export function Choice<Value extends string>({
  label,
  of,
  value,
  onChange,
}: {
  label: string
  of: readonly Value[]
  value: Value
  onChange(value: Value): void
}) {
  return (
    <label>
      {label}
      <select value={value} onChange={event => onChange(event.target.value as Value)}>
        {of.map(each => (
          <option key={each}>{each}</option>
        ))}
      </select>
    </label>
  )
}

/** Narrows a list by one of some values, or by words. */
export function Narrowing({
  label,
  of,
  value,
  onValue,
  onSearch,
}: {
  label: string
  of: readonly string[]
  value: string
  onValue(value: string): void
  onSearch(text: string): void
}) {
  const words = useWords()
  return (
    <div className="row">
      <select aria-label={label} value={value} onChange={event => onValue(event.target.value)}>
        <option value="">{words.all}</option>
        {of.map(each => (
          <option key={each}>{each}</option>
        ))}
      </select>
      <input
        className="search"
        type="search"
        aria-label={words.searchTexts}
        placeholder={words.searchTexts}
        onChange={event => onSearch(event.target.value)}
      />
    </div>
  )
}
