import 'graphiql/style.css'
import './explorer.css'
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL } from 'graphiql'
import { createClient } from 'graphql-ws'
import { createRoot } from 'react-dom/client'

const HEADERS = JSON.stringify({ authorization: 'Bearer <a key of keys.json>' }, null, 2)
const TABS = [
  '# What should this customer see, and why?\n{\n  recommendations(userExternalId: "u-000001", first: 5) {\n    servedBy\n    decisionId\n    items {\n      rank\n      score\n      product { externalId title }\n      reasons { text weight }\n    }\n  }\n}\n',
  '# Which models wait for a person?\n{\n  models(first: 5) {\n    nodes { id task algorithm version status metrics baselineMetrics }\n  }\n}\n',
  '# Is every stage of the pipeline well?\n{\n  systemHealth { stage state reason rowsIn rowsOut }\n}\n',
]

const fetcher = createGraphiQLFetcher({
  url: '/graphql',
  wsClient: createClient({
    url: `${location.origin.replace(/^http/, 'ws')}/graphql`,
    lazy: true,
    connectionParams: () => JSON.parse(localStorage.getItem('graphiql:headers') ?? HEADERS),
  }),
})

createRoot(document.getElementById('root') as HTMLElement).render(
  <GraphiQL
    fetcher={fetcher}
    defaultHeaders={HEADERS}
    shouldPersistHeaders
    defaultTabs={TABS.map(query => ({ query, headers: HEADERS }))}
    defaultEditorToolsVisibility="headers"
  />,
)
