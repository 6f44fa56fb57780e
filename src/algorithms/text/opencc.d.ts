/** "traditional simplified[ simplified …]" pairs, separated by "|" (Open Chinese Convert). */
declare module 'opencc-js/dict/TSCharacters' {
  const pairs: string
  export default pairs
}
