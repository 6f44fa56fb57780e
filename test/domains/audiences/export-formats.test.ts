import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { parse } from 'csv-parse/sync'
import {
  countryOf,
  csvLine,
  EXPORT_FORMATS,
  emailOf,
  googleEmailOf,
  type Member,
  phoneOf,
  sha256,
} from '../../../src/audiences/export-formats.js'

const hash = (text: string) => createHash('sha256').update(text).digest('hex')
const nobody: Member = {
  externalId: 'u1',
  email: null,
  phone: null,
  name: null,
  firstName: null,
  lastName: null,
  gender: null,
  birthYear: null,
  city: null,
  zip: null,
  country: null,
  score: 1,
}
const zoe: Member = {
  ...nobody,
  email: ' Zoe.Perez+shop@GMail.com ',
  phone: '030 1234567',
  name: 'Zoë van der Pérez',
  gender: 'female',
  birthYear: 1990,
  city: 'Bad Tölz',
  zip: '10115 ',
  country: 'Germany',
}

test('hashes are those that the platforms publish', () => {
  // TikTok's help page; NIST FIPS 180-2, appendix B.1.
  expect(sha256(emailOf(' JaneDoe@gmail.com'))).toBe('d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69')
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  expect(sha256('')).toBe('')
})

test('addresses, telephone numbers and countries are brought into the form that is hashed', () => {
  expect(emailOf(' User @Example.COM ')).toBe('user@example.com')
  for (const bad of [null, '', 'nobody', 'a@b', '@b.de', 'a@@b.de']) expect(emailOf(bad)).toBe('')
  expect(googleEmailOf('Jane.Doe+news@Googlemail.com')).toBe('janedoe@googlemail.com')
  expect(googleEmailOf('jane.doe+news@example.com')).toBe('jane.doe+news@example.com')
  expect(googleEmailOf('..@gmail.com')).toBe('')
  expect(phoneOf('(202) 555-0182', 'US')).toBe('+12025550182')
  expect(phoneOf('+44 844 412 4653', null)).toBe('+448444124653')
  expect(phoneOf('0049 30 1234567', null)).toBe('+49301234567')
  expect(phoneOf('138 0013 8000', 'China')).toBe('+8613800138000')
  for (const bad of [null, '', '12', 'call me', '030 1234567', '1'.repeat(500)]) expect(phoneOf(bad, null)).toBe('')
  expect(['de', 'UK', 'United States', 'nowhere', null].map(countryOf)).toEqual(['DE', 'GB', 'US', '', ''])
})

test('Google takes its own columns, address parts only together', () => {
  const { columns, rowOf } = EXPORT_FORMATS.GOOGLE_CUSTOMER_MATCH
  expect(columns).toEqual(['Email', 'Phone', 'First Name', 'Last Name', 'Country', 'Zip'])
  expect(rowOf(zoe)).toEqual([hash('zoeperez@gmail.com'), hash('+49301234567'), hash('zoë'), hash('pérez'), 'DE', '10115'])
  expect(rowOf({ ...zoe, zip: null })?.slice(2)).toEqual(['', '', '', ''])
  expect(rowOf(nobody)).toBeUndefined()
})

test('Meta and TikTok take theirs', () => {
  expect(EXPORT_FORMATS.META_CUSTOM_AUDIENCES.columns).toEqual([
    'email',
    'phone',
    'fn',
    'ln',
    'zip',
    'ct',
    'country',
    'doby',
    'gen',
    'extern_id',
  ])
  expect(EXPORT_FORMATS.META_CUSTOM_AUDIENCES.rowOf(zoe)).toEqual(
    ['zoe.perez+shop@gmail.com', '49301234567', 'zoë', 'pérez', '10115', 'badtölz', 'de', '1990', 'f', 'u1'].map(hash),
  )
  const american = { ...zoe, country: 'us', zip: '94035-1234', firstName: "Mary-Ann O'" }
  expect(EXPORT_FORMATS.META_CUSTOM_AUDIENCES.rowOf(american)).toEqual(expect.arrayContaining([hash('94035'), hash('maryanno')]))
  expect(EXPORT_FORMATS.TIKTOK.columns).toEqual(['Email_SHA256', 'Phone_SHA256'])
  expect(EXPORT_FORMATS.TIKTOK.rowOf(zoe)).toEqual([hash('zoe.perez+shop@gmail.com'), hash('+49301234567')])
  expect(EXPORT_FORMATS.TIKTOK.rowOf({ ...zoe, email: 'none', phone: null })).toBeUndefined()
})

test('a file is read back as it was, and runs nothing in a spreadsheet', () => {
  const cells = ['plain', 'a "quoted", one', 'two\r\nlines', '  pad ', '', '+491234', '-1.5', '1e-7']
  expect(parse(csvLine(cells))).toEqual([cells])
  const formulas = ['=1+1', '@SUM(A1)', '+cmd|calc', '-2+3', '\t=1', ' =1', '＝1']
  expect(parse(csvLine(formulas))).toEqual([formulas.map(cell => `'${cell}`)])
  expect(csvLine(['a', 'b'])).toBe('a,b\r\n')
})
