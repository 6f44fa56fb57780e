// natural's index pulls in databases; its modules are imported by path and have no types there.
declare module 'natural/lib/natural/tokenizers/regexp_tokenizer.js' {
  class RegexpTokenizer {
    constructor(options: { pattern: RegExp; gaps: boolean })
    tokenize(text: string): string[] | null
  }
  const tokenizers: { RegexpTokenizer: typeof RegexpTokenizer }
  export default tokenizers
}
declare module 'natural/lib/natural/stemmers/porter_stemmer.js' {
  const stemmer: { stem(word: string): string }
  export default stemmer
}
declare module 'natural/lib/natural/util/stopwords.js' {
  const stopwords: { words: string[] }
  export default stopwords
}
