import { expect, test } from '@jest/globals'
import { AccountCalendar } from '../../../src/campaigns/time-zone.js'

const hours = ({ startsAt, endsAt }: { startsAt: Date; endsAt: Date }) => (endsAt.getTime() - startsAt.getTime()) / 3_600_000

test('a day of the account begins at its midnight, and is as long as the clocks make it', () => {
  const berlin = new AccountCalendar('Europe/Berlin')
  expect(berlin.day(new Date('2026-07-01T21:59:59.999Z')).date).toBe('2026-07-01')
  expect(berlin.day(new Date('2026-07-01T22:00:00Z')).date).toBe('2026-07-02')
  const spring = berlin.day(new Date('2026-03-29T12:00:00Z'))
  expect([spring.date, spring.startsAt.toISOString(), hours(spring)]).toEqual(['2026-03-29', '2026-03-28T23:00:00.000Z', 23])
  const autumn = berlin.day(new Date('2026-10-25T12:00:00Z'))
  expect([autumn.date, autumn.startsAt.toISOString(), hours(autumn)]).toEqual(['2026-10-25', '2026-10-24T22:00:00.000Z', 25])
})

test('where midnight itself is skipped, the day begins with its first instant', () => {
  // In Santiago the clocks go from 24:00 straight to 1:00.
  const santiago = new AccountCalendar('America/Santiago')
  const day = santiago.day(new Date('2026-09-06T15:00:00Z'))
  expect([day.date, day.startsAt.toISOString(), hours(day)]).toEqual(['2026-09-06', '2026-09-06T04:00:00.000Z', 23])
})

test('days follow each other without a gap, in every kind of zone', () => {
  for (const zone of ['UTC', 'Asia/Kathmandu', 'Pacific/Chatham', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Kiritimati']) {
    const calendar = new AccountCalendar(zone)
    let day = calendar.day(new Date('2026-01-01T00:00:00Z'))
    for (let count = 0; count < 366; count++) {
      const next = calendar.day(day.endsAt)
      expect(next.startsAt).toEqual(day.endsAt)
      expect(next.date > day.date).toBe(true)
      expect(calendar.day(new Date(next.startsAt.getTime() - 1)).date).toBe(day.date)
      day = next
    }
  }
})

test('a zone that is none is refused by name', () => {
  expect(() => new AccountCalendar('Mars/Olympus')).toThrow('Mars/Olympus is no time zone')
})
