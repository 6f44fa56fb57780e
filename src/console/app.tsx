import { type FormEvent, useEffect, useState } from 'react'
import { ApiError, keepKey, run, storedKey } from './api.js'
import { HealthDocument } from './generated/documents.js'
import { Audience, Audiences } from './pages/audiences.js'
import { Campaign, Campaigns } from './pages/campaigns.js'
import { Decisions } from './pages/decisions.js'
import { Experiment, Experiments } from './pages/experiments.js'
import { Faq, FaqEntry } from './pages/faq.js'
import { Jobs } from './pages/jobs.js'
import { Model, Models } from './pages/models.js'
import { Opinion } from './pages/opinion.js'
import { Overview } from './pages/overview.js'
import { Products, Users } from './pages/people-and-products.js'
import { Placement, Placements } from './pages/placements.js'
import { Clusters, UserProfile } from './pages/profiles.js'
import { Recommendations } from './pages/recommendations.js'
import { Reviews } from './pages/reviews.js'
import { Segment, Segments } from './pages/segments.js'
import { Fault, useWords, WordsContext } from './parts.js'
import { dictionaries, type Language, type Words } from './words.js'

const PAGES = [
  'overview',
  'models',
  'recommendations',
  'placements',
  'experiments',
  'campaigns',
  'users',
  'segments',
  'audiences',
  'clusters',
  'products',
  'reviews',
  'opinion',
  'faq',
  'jobs',
  'decisions',
] as const
type Page = (typeof PAGES)[number]

export function App() {
  const [language, setLanguage] = useState<Language>(
    () => (localStorage.getItem('bellwether.language') as Language) ?? (navigator.language.startsWith('zh') ? 'zh' : 'en'),
  )
  const [key, setKey] = useState(storedKey)
  const words = dictionaries[language]
  // Before the pages, which write dates by it.
  document.documentElement.lang = language
  useEffect(() => {
    localStorage.setItem('bellwether.language', language)
  }, [language])
  const sign = (next: string | null) => {
    keepKey(next)
    setKey(next)
  }
  const switcher = (
    <button type="button" className="plain" onClick={() => setLanguage(language === 'en' ? 'zh' : 'en')}>
      {words.language}
    </button>
  )
  return (
    <WordsContext.Provider value={words}>
      {key ? <House signOut={() => sign(null)} switcher={switcher} /> : <SignIn onKey={sign} switcher={switcher} />}
    </WordsContext.Provider>
  )
}

function SignIn({ onKey, switcher }: { onKey(key: string): void; switcher: React.ReactNode }) {
  const words = useWords()
  const [fault, setFault] = useState('')
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const key = String(new FormData(event.currentTarget).get('key')).trim()
    keepKey(key)
    try {
      await run(HealthDocument, {})
      onKey(key)
    } catch (error) {
      keepKey(null)
      setFault(error instanceof ApiError ? error.message : String(error))
    }
  }
  return (
    <main className="sign-in">
      <form onSubmit={submit}>
        <h1>Bellwether</h1>
        <p className="quiet">{words.tagline}</p>
        <label>
          {words.apiKey}
          <input name="key" type="password" autoComplete="off" required placeholder="bw_marketer_…" />
        </label>
        <small>{words.keyHint}</small>
        <Fault said={fault} />
        <div className="row">
          <button type="submit">{words.signIn}</button>
          {switcher}
        </div>
      </form>
    </main>
  )
}

interface Route {
  page: Page
  rest: string
}

function routeNow(): Route {
  const [, page = 'overview', rest = ''] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(location.hash) ?? []
  return { page: (PAGES as readonly string[]).includes(page) ? (page as Page) : 'overview', rest: decodeURIComponent(rest) }
}

function useRoute(): Route {
  const [route, setRoute] = useState(routeNow)
  useEffect(() => {
    const onChange = () => setRoute(routeNow())
    addEventListener('hashchange', onChange)
    return () => removeEventListener('hashchange', onChange)
  }, [])
  return route
}

function House({ signOut, switcher }: { signOut(): void; switcher: React.ReactNode }) {
  const words = useWords()
  const { page, rest } = useRoute()
  return (
    <div className="house">
      <nav aria-label="Bellwether">
        <a className="brand" href="#/overview">
          <img src="/favicon.svg" alt="" width="24" height="24" /> Bellwether
        </a>
        {PAGES.map(each => (
          <a key={each} href={`#/${each}`} aria-current={each === page ? 'page' : undefined}>
            {words[each as keyof Words]}
          </a>
        ))}
        <a href="/graphql" target="_blank" rel="noreferrer">
          {words.explorer} ↗
        </a>
        <div className="foot">
          {switcher}
          <button type="button" className="plain" onClick={signOut}>
            {words.signOut}
          </button>
        </div>
      </nav>
      <main>
        <h1>{words[page]}</h1>
        <Content page={page} rest={rest} />
      </main>
    </div>
  )
}

function Content({ page, rest }: { page: Page; rest: string }) {
  if (page === 'models') return rest ? <Model key={rest} id={rest} /> : <Models />
  if (page === 'recommendations') return <Recommendations key={rest} user={rest} />
  if (page === 'placements') return rest ? <Placement key={rest} name={rest} /> : <Placements />
  if (page === 'experiments') return rest ? <Experiment key={rest} id={rest} /> : <Experiments />
  if (page === 'users') return rest ? <UserProfile key={rest} externalId={rest} /> : <Users />
  if (page === 'segments') return rest ? <Segment key={rest} id={rest} /> : <Segments />
  if (page === 'audiences') return rest ? <Audience key={rest} id={rest} /> : <Audiences />
  if (page === 'clusters') return <Clusters />
  if (page === 'campaigns') return rest ? <Campaign key={rest} id={rest} /> : <Campaigns />
  if (page === 'products') return <Products />
  if (page === 'reviews') return <Reviews />
  if (page === 'opinion') return <Opinion />
  if (page === 'faq') return rest ? <FaqEntry key={rest} id={rest} /> : <Faq />
  if (page === 'jobs') return <Jobs />
  if (page === 'decisions') return <Decisions key={rest} id={rest} />
  return <Overview />
}
