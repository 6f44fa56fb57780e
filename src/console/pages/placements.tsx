import { type FormEvent, useState } from 'react'
import { run } from '../api.js'
import { Choice, NumberField, Rows, TextField } from '../fields.js'
import {
  type ConditionsFragment,
  ExposureDocument,
  PlacementArchiveDocument,
  PlacementDocument,
  type PlacementPartsFragment,
  PlacementRestoreDocument,
  type PlacementRulesInput,
  PlacementsDocument,
  PlacementUpsertDocument,
  type PlacementUpsertMutation,
  type PreviewListFragment,
  type SharesFragment,
} from '../generated/documents.js'
import {
  Badge,
  Fault,
  go,
  numberOf,
  PagedTable,
  Panel,
  percent,
  Table,
  timeOf,
  useAct,
  useLoaded,
  usePages,
  useWords,
  Waiting,
} from '../parts.js'
import type { Words } from '../words.js'
import { ALGORITHMS } from './recommendations.js'

type Rules = PlacementPartsFragment['rules']
type Preview = NonNullable<PlacementUpsertMutation['placementUpsert']['preview']>
type Conditions = Partial<ConditionsFragment>

const BASES = ['HISTORY', 'CONTEXT', 'CART'] as const
const DAYS = 28
const MICROS = 1_000_000

export function Placements() {
  const words = useWords()
  const pages = usePages(async (after, signal) => (await run(PlacementsDocument, { first: 25, after }, signal)).placements, [])
  return (
    <>
      <Panel title={words.placements}>
        <PagedTable
          of={pages}
          keyOf={row => row.id}
          onRow={row => go(`/placements/${row.name}`)}
          columns={[
            { title: words.filterName, cell: row => <a href={`#/placements/${row.name}`}>{row.name}</a> },
            { title: words.aboutPlacement, cell: row => row.description ?? '' },
            { title: words.algorithm, cell: row => row.rules.algorithm },
            { title: words.diversity, cell: row => row.rules.diversity, isNumber: true },
            { title: words.version, cell: row => row.version, isNumber: true },
            { title: words.at, cell: row => timeOf(row.updatedAt) },
          ]}
        />
      </Panel>
      <Panel title={words.newPlacement}>
        <form
          className="row"
          onSubmit={event => {
            event.preventDefault()
            go(`/placements/${String(new FormData(event.currentTarget).get('name')).trim()}`)
          }}
        >
          <input name="name" required pattern="[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?" placeholder="home-page" aria-label={words.filterName} />
          <button type="submit">{words.look}</button>
        </form>
      </Panel>
      <Exposure placement={null} />
    </>
  )
}

/** A placement that there is, or one that is about to be made. */
export function Placement({ name }: { name: string }) {
  const words = useWords()
  const loaded = useLoaded(async signal => (await run(PlacementDocument, { name }, signal)).placement, [name])
  const { said, act } = useAct(loaded.reload)
  if (loaded.data === undefined) return <Waiting of={loaded} />
  const placement = loaded.data
  const input = { name, expectedVersion: placement?.version }
  return (
    <>
      <p>
        <a href="#/placements">← {words.back}</a>
      </p>
      <Panel
        title={name}
        actions={
          placement && !placement.archivedAt ? (
            <button
              type="button"
              className="plain"
              onClick={() => act(run(PlacementArchiveDocument, { input }).then(data => data.placementArchive))}
            >
              {words.archivePlacement}
            </button>
          ) : placement ? (
            <Badge state="RETIRED" />
          ) : null
        }
      >
        <Fault said={said} role="status" />
        <Editor key={placement?.version ?? 0} name={name} placement={placement} onSaved={loaded.reload} />
      </Panel>
      {placement && (
        <Panel title={words.earlier}>
          <Table
            rows={placement.versions}
            keyOf={row => String(row.version)}
            columns={[
              { title: words.version, cell: row => row.version, isNumber: true },
              { title: words.changedBy, cell: row => row.changedBy },
              { title: words.at, cell: row => timeOf(row.changedAt) },
              {
                title: '',
                cell: row =>
                  row.version === placement.version && !placement.archivedAt ? null : (
                    <button
                      type="button"
                      className="plain"
                      onClick={() =>
                        act(
                          run(PlacementRestoreDocument, { input: { ...input, version: row.version } }).then(data => data.placementRestore),
                        )
                      }
                    >
                      {words.restoreVersion}
                    </button>
                  ),
              },
            ]}
          />
        </Panel>
      )}
      {placement && <Exposure placement={name} />}
    </>
  )
}

const NEW_RULES: Rules = {
  algorithm: 'AUTO',
  levels: [],
  basis: 'HISTORY',
  diversity: 0,
  onlyBought: false,
  excludeSeen: true,
  excludeBought: false,
  excludeShownDays: 0,
  minimumStock: 1,
  marginWeight: 0,
  sentimentWeight: 0,
  filters: [],
  boosts: [],
  pins: [],
  caps: [],
}

function Editor({ name, placement, onSaved }: { name: string; placement: PlacementPartsFragment | null; onSaved(): void }) {
  const words = useWords()
  const [rules, setRules] = useState<Rules>(placement?.rules ?? NEW_RULES)
  const [description, setDescription] = useState(placement?.description ?? '')
  const [sample, setSample] = useState({ user: '', products: '' })
  const [preview, setPreview] = useState<Preview>()
  const [said, setSaid] = useState('')
  const set = (change: Partial<Rules>) => setRules({ ...rules, ...change })
  const send = async (dryRun: boolean) => {
    const { placementUpsert } = await run(PlacementUpsertDocument, {
      input: {
        name,
        description: description.trim() || null,
        rules: rules as PlacementRulesInput,
        expectedVersion: placement?.version ?? 0,
        dryRun,
        sampleUserExternalId: sample.user.trim() || null,
        sampleProductExternalIds: listOf(sample.products),
      },
    })
    const [fault] = placementUpsert.userErrors
    setSaid(fault ? `${fault.message}${fault.field ? ` (${fault.field.join('.')})` : ''}` : '')
    if (placementUpsert.preview) setPreview(placementUpsert.preview)
    if (placementUpsert.placement) onSaved()
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    void send(false).catch(error => setSaid(error.message))
  }
  return (
    <form className="editor" onSubmit={submit}>
      <label>
        {words.aboutPlacement}
        <input value={description} maxLength={1_000} onChange={event => setDescription(event.target.value)} />
      </label>
      <div className="row">
        <Choice label={words.algorithm} of={ALGORITHMS} value={rules.algorithm} onChange={algorithm => set({ algorithm })} />
        <Choice label={words.basis} of={BASES} value={rules.basis} onChange={basis => set({ basis })} />
        <NumberField label={words.diversity} value={rules.diversity} max={1} step={0.1} onChange={diversity => set({ diversity })} />
        <NumberField label={words.minimumStock} value={rules.minimumStock} onChange={minimumStock => set({ minimumStock })} />
        <NumberField
          label={words.marginWeight}
          value={rules.marginWeight}
          max={10}
          step={0.1}
          onChange={marginWeight => set({ marginWeight })}
        />
        <NumberField
          label={words.sentimentWeight}
          value={rules.sentimentWeight}
          max={1}
          step={0.1}
          onChange={sentimentWeight => set({ sentimentWeight })}
        />
        <NumberField
          label={words.excludeShownDays}
          value={rules.excludeShownDays}
          max={365}
          onChange={excludeShownDays => set({ excludeShownDays })}
        />
      </div>
      <div className="row">
        {(['onlyBought', 'excludeSeen', 'excludeBought'] as const).map(each => (
          <label className="check" key={each}>
            <input type="checkbox" checked={rules[each]} onChange={event => set({ [each]: event.target.checked })} />
            {words[each]}
          </label>
        ))}
      </div>
      <Rows
        title={words.levels}
        rows={rules.levels}
        fresh={{ fromProducts: 0, algorithm: 'AUTO' as const }}
        onChange={levels => set({ levels })}
        cells={(row, change) => (
          <>
            <NumberField label={words.fromProducts} value={row.fromProducts} onChange={fromProducts => change({ fromProducts })} />
            <Choice label={words.algorithm} of={ALGORITHMS} value={row.algorithm} onChange={algorithm => change({ algorithm })} />
          </>
        )}
      />
      <Rows
        title={words.filters}
        rows={rules.filters}
        fresh={{ name: '', where: {} as ConditionsFragment }}
        onChange={filters => set({ filters })}
        cells={(row, change) => (
          <>
            <TextField label={words.filterName} value={row.name} onChange={next => change({ name: next })} />
            <ConditionFields words={words} where={row.where} onChange={where => change({ where })} />
          </>
        )}
      />
      <Rows
        title={words.boosts}
        rows={rules.boosts}
        fresh={{ name: '', factor: 1.5, where: {} as ConditionsFragment }}
        onChange={boosts => set({ boosts })}
        cells={(row, change) => (
          <>
            <TextField label={words.filterName} value={row.name} onChange={next => change({ name: next })} />
            <NumberField label={words.factor} value={row.factor} max={100} step={0.1} onChange={factor => change({ factor })} />
            <ConditionFields words={words} where={row.where} onChange={where => change({ where })} />
          </>
        )}
      />
      <Rows
        title={words.pins}
        rows={rules.pins}
        fresh={{ productExternalId: '', position: 1 }}
        onChange={pins => set({ pins })}
        cells={(row, change) => (
          <>
            <TextField label={words.product} value={row.productExternalId} onChange={productExternalId => change({ productExternalId })} />
            <NumberField label={words.position} value={row.position} onChange={position => change({ position })} />
          </>
        )}
      />
      <Rows
        title={words.caps}
        rows={rules.caps}
        fresh={{ by: 'CATEGORY' as const, value: null, most: 2 }}
        onChange={caps => set({ caps })}
        cells={(row, change) => (
          <>
            <Choice label={words.capBy} of={['CATEGORY', 'BRAND'] as const} value={row.by} onChange={by => change({ by })} />
            <TextField label={words.capOf} value={row.value ?? ''} onChange={value => change({ value: value || null })} />
            <NumberField label={words.mostInList} value={row.most} onChange={most => change({ most })} />
          </>
        )}
      />
      <div className="row">
        <TextField label={words.sampleUser} value={sample.user} onChange={user => setSample({ ...sample, user })} />
        <TextField label={words.contextProducts} value={sample.products} onChange={products => setSample({ ...sample, products })} />
        <button type="button" className="plain" onClick={() => void send(true).catch(error => setSaid(error.message))}>
          {words.previewRules}
        </button>
        <button type="submit">{words.saveRules}</button>
      </div>
      <Fault said={said} />
      {preview && <BeforeAndAfter preview={preview} />}
    </form>
  )
}

function BeforeAndAfter({ preview: { userExternalId, before, after, changes } }: { preview: Preview }) {
  const words = useWords()
  return (
    <>
      <p className="quiet">
        {words.sampleUser}: {userExternalId ?? '–'} · {changes.map(({ field }) => field.replace('rules.', '')).join(', ') || '–'}
      </p>
      <div className="two">
        <Previewed title={words.beforeRules} list={before} />
        <Previewed title={words.afterRules} list={after} earlier={before} />
      </div>
    </>
  )
}

function Previewed({ title, list, earlier }: { title: string; list: PreviewListFragment; earlier?: PreviewListFragment }) {
  const words = useWords()
  const dropped = list.dropped as { counts: Record<string, number> }
  const rankBefore = (id: string) => earlier?.items.find(({ product }) => product.id === id)?.rank
  const mark = (id: string, rank: number) => {
    if (!earlier) return ''
    const was = rankBefore(id)
    return was === undefined ? '+' : was > rank ? `▲ ${was - rank}` : was < rank ? `▼ ${rank - was}` : ''
  }
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <p className="quiet">{[list.servedBy, ...list.fallbacks].join(' · ')}</p>
      <ol className="previewed">
        {list.items.map(({ rank, score, product, reasons }) => (
          <li key={product.id}>
            <strong>{product.title}</strong> <small>{product.externalId}</small> {numberOf(score)} <b>{mark(product.id, rank)}</b>
            <ul className="reasons">
              {reasons.map(({ text }) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
      <p className="quiet">
        {words.notShown}:{' '}
        {Object.entries(dropped.counts)
          .map(([reason, count]) => `${reason} ${count}`)
          .join(' · ') || '–'}
      </p>
    </section>
  )
}

function Exposure({ placement }: { placement: string | null }) {
  const words = useWords()
  const loaded = useLoaded(signal => run(ExposureDocument, { placement, days: DAYS }, signal), [placement])
  const exposure = loaded.data?.recommendationExposure
  return (
    <Panel title={words.exposure}>
      <Waiting of={loaded} />
      {exposure && (
        <>
          <p className="quiet">
            {exposure.decisions.toLocaleString()} {words.listsCounted}
            {exposure.sampled ? ' +' : ''} · {percent(exposure.coverage)} {words.coverageOfCatalogue} · Gini {numberOf(exposure.gini)}
          </p>
          {exposure.decisions > 0 && (
            <>
              <Shares title={words.categories} rows={exposure.categories} />
              <Shares title={words.brand} rows={exposure.brands} />
              <Shares title={words.priceBand} rows={exposure.priceBands} />
            </>
          )}
        </>
      )}
    </Panel>
  )
}

function Shares({ title, rows }: { title: string; rows: readonly SharesFragment[] }) {
  const words = useWords()
  return (
    <Table
      rows={rows.slice(0, 12)}
      keyOf={row => row.key}
      columns={[
        { title, cell: row => row.key },
        { title: words.shareOfPlaces, cell: row => percent(row.share), isNumber: true },
        { title: words.shareOfAttention, cell: row => percent(row.attentionShare), isNumber: true },
        { title: words.shareOfCatalogue, cell: row => percent(row.catalogueShare), isNumber: true },
        { title: words.shareOfImpressions, cell: row => percent(row.impressionShare), isNumber: true },
      ]}
    />
  )
}

function ConditionFields({
  words,
  where,
  onChange,
}: {
  words: Words
  where: ConditionsFragment
  onChange(where: ConditionsFragment): void
}) {
  const set = (part: Conditions) => onChange({ ...where, ...part })
  const price = (micros: unknown) => (micros === null || micros === undefined ? '' : String(Number(micros) / MICROS))
  const micros = (text: string) => (text.trim() === '' || Number.isNaN(Number(text)) ? null : String(Math.round(Number(text) * MICROS)))
  return (
    <>
      <TextField label={words.categories} value={where.category ?? ''} onChange={category => set({ category: category || null })} />
      <TextField label={words.brand} value={where.brand ?? ''} onChange={brand => set({ brand: brand || null })} />
      <TextField label={words.titleWords} value={where.search ?? ''} onChange={search => set({ search: search || null })} />
      <TextField
        label={words.priceFrom}
        value={price(where.priceMinMicros)}
        onChange={text => set({ priceMinMicros: micros(text) as ConditionsFragment['priceMinMicros'] })}
      />
      <TextField
        label={words.priceTo}
        value={price(where.priceMaxMicros)}
        onChange={text => set({ priceMaxMicros: micros(text) as ConditionsFragment['priceMaxMicros'] })}
      />
      <TextField
        label={words.attributeHint}
        value={where.attributes?.map(({ name, value }) => (value === null ? name : `${name}=${value}`)).join(', ') ?? ''}
        onChange={text => {
          const attributes = listOf(text).map(part => {
            const [name, ...value] = part.split('=')
            return { name, value: value.length > 0 ? value.join('=') : null }
          })
          set({ attributes: attributes.length > 0 ? attributes : null })
        }}
      />
    </>
  )
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '')
}
