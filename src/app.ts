// The one file that says `new` for services; the server, the worker and the tests use it alike.
import { join } from 'node:path'
import { jobDefinitions as jobList } from '../jobs/index.js'
import { ApiKeyRepository } from './admin/api-key.repository.js'
import { ApiKeyResolver } from './admin/api-key.resolver.js'
import { ApiKeysService } from './admin/api-key.service.js'
import { AudienceExportResolver } from './admin/audience-export.resolver.js'
import { HeaderAuthenticator } from './admin/authenticator.js'
import { HealthResolver } from './admin/health.resolver.js'
import { HealthService } from './admin/health.service.js'
import { JobsResolver } from './admin/job.resolver.js'
import { JobsService } from './admin/job.service.js'
import { SimulationResolver } from './admin/simulation.resolver.js'
import { TokenVerifier } from './admin/token-verifier.js'
import { TrainingResolver } from './admin/training.resolver.js'
import { AudiencesRepository } from './audiences/audiences.repository.js'
import { AudiencesResolver } from './audiences/audiences.resolver.js'
import { AudiencesService } from './audiences/audiences.service.js'
import { exportDoor } from './audiences/export-door.js'
import { ExportsRepository } from './audiences/exports.repository.js'
import { ExportsService } from './audiences/exports.service.js'
import { AdEvents } from './bidding/ad-events.js'
import { AdLogRepository } from './bidding/ad-log.repository.js'
import { BidDoor } from './bidding/bid-door.js'
import { BidVisitorsRepository } from './bidding/bid-visitors.repository.js'
import { BiddingRepository } from './bidding/bidding.repository.js'
import { AuctionOutcomeResolver, BiddingResolver } from './bidding/bidding.resolver.js'
import { BiddingService } from './bidding/bidding.service.js'
import { clickTask } from './bidding/click.task.js'
import { MarketService } from './bidding/market.service.js'
import { OnlineLearning } from './bidding/online-learning.js'
import { openrtbDoor } from './bidding/openrtb.js'
import { Predictor } from './bidding/predictor.js'
import { Snapshots } from './bidding/snapshot.js'
import { CampaignAudienceResolver } from './campaigns/campaign-audience.resolver.js'
import { CampaignsRepository } from './campaigns/campaigns.repository.js'
import { AdGroupResolver, AdResolver, CampaignsResolver } from './campaigns/campaigns.resolver.js'
import { CampaignsService } from './campaigns/campaigns.service.js'
import { AccountCalendar } from './campaigns/time-zone.js'
import { CatalogueRepository } from './catalogue/catalogue.repository.js'
import { CatalogueResolver } from './catalogue/catalogue.resolver.js'
import { CatalogueService } from './catalogue/catalogue.service.js'
import type { Config } from './config.js'
import { EventsRepository } from './events/events.repository.js'
import { EventsResolver } from './events/events.resolver.js'
import { EventsService } from './events/events.service.js'
import { IdentityRepository } from './events/identity.repository.js'
import { IdentityMergeResolver, IdentityResolver } from './events/identity.resolver.js'
import { IdentityService } from './events/identity.service.js'
import { ImportRepository } from './events/import.repository.js'
import { ImportService } from './events/import.service.js'
import { importDoor } from './events/import-door.js'
import { segmentApi } from './events/segment-api.js'
import { AnswersService } from './faq/answers.service.js'
import { FaqRepository } from './faq/faq.repository.js'
import { FaqResolver } from './faq/faq.resolver.js'
import { FaqService } from './faq/faq.service.js'
import { FaqIndex } from './faq/faq-index.js'
import { limitedBy, requireScope, Scope } from './graphql/auth.js'
import { IdempotencyStore } from './graphql/idempotency.js'
import { type NodeFinders, NodeResolver } from './graphql/node.js'
import { openDatabase } from './platform/database.js'
import { messageOf } from './platform/errors.js'
import { checkDefinitions, Jobs } from './platform/job-runner.js'
import { JobStore } from './platform/job-store.js'
import type { Log } from './platform/log.js'
import { createMetrics } from './platform/metrics.js'
import { createPool } from './platform/pool.js'
import { createScrape } from './platform/processes.js'
import { openQueues } from './platform/queue.js'
import { createRateLimiter } from './platform/rate-limit.js'
import { connectRedis } from './platform/redis.js'
import { createSignals } from './platform/signals.js'
import { listStages } from './platform/stages.js'
import { sendWebhook } from './platform/webhook.js'
import { groupsBefore } from './profiles/cluster.task.js'
import { ClustersService } from './profiles/clusters.service.js'
import { ProfileHistory } from './profiles/history.js'
import { ProfileModels } from './profiles/profile-models.js'
import { ProfileScoreService } from './profiles/profile-scores.js'
import { profileTasks } from './profiles/profile-tasks.js'
import { ProfilesRepository } from './profiles/profiles.repository.js'
import { ProfilesResolver, UserProfileResolver } from './profiles/profiles.resolver.js'
import { ProfilesService } from './profiles/profiles.service.js'
import { ExperimentsRepository } from './recommendations/experiments.repository.js'
import { ExperimentsResolver } from './recommendations/experiments.resolver.js'
import { ExperimentsService } from './recommendations/experiments.service.js'
import { ExposureRepository } from './recommendations/exposure.repository.js'
import { ExposureService } from './recommendations/exposure.service.js'
import { NewProducts } from './recommendations/new-products.js'
import { OffPolicyService } from './recommendations/off-policy.service.js'
import { PeopleRepository } from './recommendations/people.repository.js'
import { PeopleResolver } from './recommendations/people.resolver.js'
import { PeopleService } from './recommendations/people.service.js'
import { Placements } from './recommendations/placements.js'
import { PlacementsRepository } from './recommendations/placements.repository.js'
import { PlacementsResolver } from './recommendations/placements.resolver.js'
import { PlacementsService } from './recommendations/placements.service.js'
import { recommendationTask } from './recommendations/recommendation.task.js'
import { RecommendationsRepository } from './recommendations/recommendations.repository.js'
import { ProductSimilarResolver, RecommendationsResolver, UserRecommendationsResolver } from './recommendations/recommendations.resolver.js'
import { RecommendationsService } from './recommendations/recommendations.service.js'
import { Retraining } from './recommendations/retraining.js'
import { StandIns } from './recommendations/stand-ins.js'
import { Approver } from './registry/approver.js'
import { DecisionResolver } from './registry/decision.resolver.js'
import { DecisionType } from './registry/decision.schema.js'
import { Decisions } from './registry/decisions.js'
import { LiveModels } from './registry/live-models.js'
import { ModelRepository } from './registry/model.repository.js'
import { ModelsResolver } from './registry/model.resolver.js'
import { ModelsService } from './registry/model.service.js'
import type { Task } from './registry/task.js'
import { Trainer } from './registry/trainer.js'
import { AspectHintsSource } from './reviews/aspect-hints.js'
import { OpinionRepository } from './reviews/opinion.repository.js'
import { OpinionResolver } from './reviews/opinion.resolver.js'
import { OpinionService } from './reviews/opinion.service.js'
import { ownModelDoor } from './reviews/own-model-door.js'
import { OwnModels } from './reviews/own-models.js'
import { postsDoor } from './reviews/posts-door.js'
import { ReviewsRepository } from './reviews/reviews.repository.js'
import { ProductSentimentResolver, ReviewsResolver, UserSentimentResolver } from './reviews/reviews.resolver.js'
import { ReviewsService } from './reviews/reviews.service.js'
import { intentTask, sentimentTask } from './reviews/text.task.js'
import { TextJudges } from './reviews/text-judges.js'
import { ProfileSegmentsResolver } from './segments/profile-segments.resolver.js'
import { SegmentsRepository } from './segments/segments.repository.js'
import { SegmentPreviewResolver, SegmentsResolver } from './segments/segments.resolver.js'
import { SegmentsService } from './segments/segments.service.js'
import { createServer } from './server.js'
import { UserChanges } from './users/user-changes.js'
import { UsersRepository } from './users/users.repository.js'
import { UserPayloadResolver, UsersResolver } from './users/users.resolver.js'
import { UsersService } from './users/users.service.js'

export interface AppOptions {
  config: Config
  databaseUrl: string
  log: Log
  role: 'server' | 'worker'
  root?: string
}

export type App = Awaited<ReturnType<typeof createApp>>

/** An ad market moves: a click model that is older is stale. */
const MODEL_STALE_MS = 8 * 86_400_000

/** The classes that make the schema, in no particular order. */
export const resolverClasses = [
  NodeResolver,
  UserPayloadResolver,
  UsersResolver,
  CatalogueResolver,
  EventsResolver,
  RecommendationsResolver,
  UserRecommendationsResolver,
  ProductSimilarResolver,
  PlacementsResolver,
  ExperimentsResolver,
  PeopleResolver,
  IdentityResolver,
  IdentityMergeResolver,
  UserProfileResolver,
  ProfilesResolver,
  SegmentsResolver,
  SegmentPreviewResolver,
  ProfileSegmentsResolver,
  AudiencesResolver,
  AudienceExportResolver,
  CampaignAudienceResolver,
  ModelsResolver,
  DecisionResolver,
  JobsResolver,
  TrainingResolver,
  SimulationResolver,
  HealthResolver,
  ApiKeyResolver,
  CampaignsResolver,
  AdGroupResolver,
  AdResolver,
  BiddingResolver,
  AuctionOutcomeResolver,
  ReviewsResolver,
  ProductSentimentResolver,
  UserSentimentResolver,
  FaqResolver,
  OpinionResolver,
]

/** Everything that a process of Bellwether is made of. `close` ends it in the opposite order. */
export async function createApp({ config, databaseUrl, log, role, root = process.cwd() }: AppOptions) {
  const database = openDatabase(databaseUrl, log)
  const metrics = createMetrics(role)
  const signals = await createSignals({ database, redisUrl: config.redisUrl, log })
  const queues = await openQueues({ databaseUrl, redisUrl: config.redisUrl, log })
  const pool = createPool(config.threads, root)
  const redis = config.redisUrl ? connectRedis(config.redisUrl) : undefined
  redis?.on('error', (error: Error) => log.warn('the Redis connection had a fault', { error: error.message }))
  const idempotency = new IdempotencyStore(database)

  const jobDefinitions = checkDefinitions<never>(jobList)
  const jobStore = new JobStore(database)
  const jobs = new Jobs(jobStore, queues, jobDefinitions, signals)

  const users = new UsersService(new UsersRepository(database))
  const catalogue = new CatalogueService(new CatalogueRepository(database), signals, config.currency)
  const events = new EventsService(new EventsRepository(database), users, catalogue, signals, config)
  // A merge is done when it is stored; what could not be brought in line at once, the next run of refresh-profiles is.
  const inLine = (userIds: readonly number[]) =>
    segments.bringInLine(userIds).catch(error => log.warn('profiles and segments follow a merge later', { error: messageOf(error) }))
  const identity = new IdentityService(new IdentityRepository(database), users, signals, inLine)
  const imports = new ImportService(new ImportRepository(database), jobs, { signals, database, settings: config })
  const userChanges = new UserChanges(database, ['EVENTS', 'CONSENTS', 'IDENTITY'])
  const recommendationsRepository = new RecommendationsRepository(database, userChanges)

  const profilesRepository = new ProfilesRepository(database, config)
  const history = new ProfileHistory(profilesRepository, () => profiles.refreshOvertaken({ all: true }))
  const calendar = new AccountCalendar(config.timeZone)
  const adLog = new AdLogRepository(database)

  const reviewsRepository = new ReviewsRepository(database)
  const ownModels = new OwnModels(database, pool)

  const models = new ModelRepository(database)
  const tasks = new Map<string, Task<never>>(
    [
      recommendationTask(recommendationsRepository),
      ...profileTasks(history, () => groupsBefore(models)),
      clickTask('CTR', adLog, calendar, config.seed),
      clickTask('CVR', adLog, calendar, config.seed),
      sentimentTask(reviewsRepository, ownModels),
      intentTask(reviewsRepository, ownModels),
    ].map(task => [task.name, task as unknown as Task<never>]),
  )
  const modelsService = new ModelsService(models, signals)
  const trainer = new Trainer(tasks as never, { models, pool, signals, database, log, seed: config.seed })
  const approver = new Approver(modelsService, tasks, config.autoApprove, log)
  const liveModels = new LiveModels(tasks, { models, database, signals, log })
  const decisions = new Decisions(database)
  const placementsRepository = new PlacementsRepository(database)
  const placementsInMemory = new Placements(placementsRepository, signals)
  const newProducts = new NewProducts(placementsRepository, catalogue)
  const experiments = new ExperimentsService(new ExperimentsRepository(database))
  const recommendations = new RecommendationsService(recommendationsRepository, catalogue, liveModels, decisions, metrics, {
    placements: placementsInMemory,
    newProducts,
    standIns: new StandIns(placementsRepository, catalogue),
    experiments,
    penalties: productKeys => reviews.penalties(productKeys),
  })
  const placements = new PlacementsService(placementsRepository, recommendations, signals)
  const peopleRepository = new PeopleRepository(database)
  const people = new PeopleService(peopleRepository, recommendationsRepository, recommendations, users, liveModels)
  const retraining = new Retraining(
    peopleRepository,
    { live: () => models.live('RECOMMENDATION'), newest: algorithm => models.newest('RECOMMENDATION', algorithm) },
    config.retrainShare,
  )

  const profileModels = new ProfileModels(liveModels, pool)
  const profiles = new ProfilesService(profilesRepository, profileModels)
  const profileScores = new ProfileScoreService(profileModels, decisions)
  const clusters = new ClustersService(profileModels, profilesRepository, { history, pool, database })
  const segments = new SegmentsService(new SegmentsRepository(database, config.timeZone), users, profiles, signals)
  const audiencesRepository = new AudiencesRepository(database)
  const audienceExports = new ExportsService({
    exports: new ExportsRepository(database),
    audiences: audiencesRepository,
    webhookSecret: config.webhookSecret,
    webhookPrivate: config.webhookPrivate,
    start: (exportId, createdBy) => jobs.enqueue('export-audience', { exportId }, { createdBy }),
  })
  const audiences = new AudiencesService({
    audiences: audiencesRepository,
    users,
    segments,
    recommendations,
    pool,
    signals,
    seed: config.seed,
    build: (audienceId, version, createdBy) => jobs.enqueue('build-audience', { audienceId, version }, { createdBy }),
  })
  const biddingRepository = new BiddingRepository(database)
  const market = new MarketService({
    repository: biddingRepository,
    campaigns: () => campaigns,
    calendar,
    pool,
    seed: config.seed,
    currency: config.currency,
  })
  const campaigns: CampaignsService = new CampaignsService({
    campaigns: new CampaignsRepository(database),
    catalogue,
    signals,
    calendar,
    currency: config.currency,
    foresee: (campaign, strategy) => market.foresee(campaign, strategy),
    isModelStale: async now => {
      const [live] = (await modelsService.page({ first: 1, task: 'CTR', status: 'LIVE' })).nodes
      return !live || now.getTime() - live.trainedAt.getTime() > MODEL_STALE_MS
    },
  })

  const snapshots = new Snapshots({ repository: biddingRepository, campaigns, signals, log })
  const onlineLearning = new OnlineLearning({
    models: liveModels,
    log: adLog,
    calendar,
    taughtUntil: async modelId => (await models.get(modelId))?.dataTo ?? null,
    logger: log,
  })
  const bidding = new BiddingService({
    repository: biddingRepository,
    visitors: new BidVisitorsRepository(database),
    snapshots,
    predictor: new Predictor(liveModels),
    decisions,
    calendar,
    metrics,
  })

  const aspectHints = new AspectHintsSource(reviewsRepository, pool)
  const reviews = new ReviewsService({
    repository: reviewsRepository,
    judges: new TextJudges(liveModels),
    hints: aspectHints,
    users,
    catalogue,
    pool,
    signals,
    trainedAt: async modelId => (await models.get(modelId))?.trainedAt ?? null,
  })

  const faqRepository = new FaqRepository(database)
  const faqIndex = new FaqIndex({ repository: faqRepository, pool, signals, log, maximumError: config.faqMaxError })
  const faq = new FaqService({ repository: faqRepository, signals, pool })
  const answers = new AnswersService({ index: faqIndex, repository: faqRepository, metrics })

  const { alertWebhook, webhookSecret } = config
  const opinion = new OpinionService({
    repository: new OpinionRepository(database),
    catalogue,
    pool,
    ports: {
      pauseAds: async (productId, key) => `${await campaigns.pauseAdsOf(productId, key)} ads were paused`,
      demote: async (productId, by, key) => {
        const { title } = await catalogue.demote(productId, true, by, { receipt: key })
        return `${title} is recommended only where nothing else is left`
      },
      draftFaqEntry: async (question, key) => {
        await faq.propose(question, `opinion:${key}`)
        return 'A draft waits in the FAQ'
      },
      notify:
        alertWebhook && webhookSecret
          ? async (alert, key) => {
              await sendWebhook({ url: alertWebhook, secret: webhookSecret }, { type: 'opinion.alert', alert }, key)
              return 'The webhook was delivered'
            }
          : undefined,
    },
  })

  const adEvents = new AdEvents({ log: adLog, bidding, logger: log })

  const apiKeys = new ApiKeysService(new ApiKeyRepository(database), signals, log)
  const tokens = config.oidcIssuer
    ? new TokenVerifier({ issuer: config.oidcIssuer, audience: config.oidcAudience as string, jwksUrl: config.oidcJwksUrl, log })
    : undefined
  const authenticator = new HeaderAuthenticator(apiKeys, tokens, signals)
  const jobsService = new JobsService(jobs, jobStore, signals)
  const health = new HealthService({
    metrics,
    stages: () => listStages(database),
    checks: {
      database: async () => void (await database.sql('SELECT 1')),
      queue: async () => {
        await queues.ping()
        return { reason: `on ${queues.backend}` }
      },
      jobs: async () => givenUpState(await jobStore.givenUp(24)),
      'live models': async () => servingState(tasks, liveModels),
    },
  })

  const nodes: NodeFinders = {
    User: (key, context) => users.node(key, context),
    Product: (key, context) => catalogue.node(key, context),
    ApiKey: (key, context) => apiKeys.node(key, context),
    Job: async (key, { viewer }) => requireScope(viewer, Scope.JOBS_READ) && jobsService.get(key),
    Model: async (key, { viewer }) => requireScope(viewer, Scope.MODELS_READ) && modelsService.find(key),
    Placement: async (key, { viewer }) => requireScope(viewer, Scope.RECOMMENDATIONS_READ) && placements.find(key),
    Segment: (key, context) => segments.node(key, context),
    RecommendationExperiment: async (key, { viewer }) => requireScope(viewer, Scope.RECOMMENDATIONS_READ) && experiments.find(key),
    Audience: (key, context) => audiences.node(key, context),
    Campaign: (key, context) => campaigns.node(key, context),
    BiddingStrategy: async (key, { viewer }) => requireScope(viewer, Scope.CAMPAIGNS_READ) && campaigns.findStrategy(key),
    AdGroup: async (key, { viewer }) => requireScope(viewer, Scope.CAMPAIGNS_READ) && campaigns.findAdGroup(key),
    OpinionAlert: async (key, { viewer }) => requireScope(viewer, Scope.REVIEWS_READ) && opinion.find(key),
    FaqEntry: async (key, { viewer }) => requireScope(viewer, Scope.FAQ_WRITE) && faq.find(key),
    FaqTicket: async (key, { viewer }) => requireScope(viewer, Scope.FAQ_WRITE) && faq.findTicket(key),
    Review: async (key, { viewer }) => requireScope(viewer, Scope.REVIEWS_READ) && reviews.find(key),
    Ad: async (key, { viewer }) => requireScope(viewer, Scope.CAMPAIGNS_READ) && campaigns.findAd(key),
    Decision: async (key, { viewer }) => {
      requireScope(viewer, Scope.DECISIONS_READ)
      const row = await decisions.find(key)
      return row && DecisionType.of(row)
    },
  }
  const resolvers = [
    new NodeResolver(nodes),
    new UsersResolver(users, idempotency),
    new UserPayloadResolver(),
    new CatalogueResolver(catalogue, idempotency),
    new EventsResolver(events, idempotency),
    new RecommendationsResolver(recommendations),
    new UserRecommendationsResolver(recommendations),
    new ProductSimilarResolver(recommendations),
    new PlacementsResolver(placements, new ExposureService(new ExposureRepository(database)), idempotency),
    new ExperimentsResolver(
      experiments,
      new OffPolicyService(new ExperimentsRepository(database), liveModels, recommendations),
      idempotency,
    ),
    new PeopleResolver(people),
    new IdentityResolver(identity, idempotency),
    new IdentityMergeResolver(users),
    new UserProfileResolver(profiles),
    new ProfilesResolver(profiles, profileScores, clusters, users, config.currency),
    new SegmentsResolver(segments, idempotency),
    new SegmentPreviewResolver(),
    new ProfileSegmentsResolver(segments),
    new AudiencesResolver(audiences, idempotency),
    new AudienceExportResolver(audienceExports, idempotency),
    new CampaignAudienceResolver(audiences),
    new ModelsResolver(modelsService, idempotency, tasks),
    new DecisionResolver(decisions),
    new JobsResolver(jobsService),
    new TrainingResolver(trainer, jobs, idempotency),
    new SimulationResolver(input => market.plan(input), jobs, idempotency),
    new HealthResolver(health),
    new ApiKeyResolver(apiKeys, idempotency),
    new CampaignsResolver(campaigns, idempotency),
    new AdGroupResolver(campaigns),
    new AdResolver(catalogue),
    new BiddingResolver(new BidDoor(bidding, config.currency), campaigns, idempotency),
    new AuctionOutcomeResolver(campaigns),
    new ReviewsResolver(reviews, catalogue, users, idempotency),
    new ProductSentimentResolver(reviews),
    new UserSentimentResolver(reviews),
    new FaqResolver(faq, answers, idempotency),
    new OpinionResolver(opinion, reviews, idempotency),
  ]

  return {
    config,
    log,
    metrics,
    database,
    signals,
    queues,
    pool,
    idempotency,
    jobDefinitions,
    jobStore,
    jobs,
    users,
    userChanges,
    catalogue,
    events,
    imports,
    tasks,
    trainer,
    approver,
    modelsService,
    liveModels,
    decisions,
    recommendations,
    placements,
    experiments,
    retraining,
    identity,
    profiles,
    clusters,
    segments,
    audiences,
    audienceExports,
    campaigns,
    bidding,
    snapshots,
    market,
    onlineLearning,
    reviews,
    aspectHints,
    faq,
    faqIndex,
    opinion,
    apiKeys,
    health,
    createServer: async () => {
      // What cannot be read now is no reason to hide the rest.
      const observe = async () => {
        try {
          await health.stages()
          metrics.jobs(await jobStore.tally())
        } catch (error) {
          log.warn('not all metrics could be read', { error: messageOf(error) })
        }
      }
      onlineLearning.start()
      await faqIndex.start()
      const limiter = createRateLimiter(config.rateLimitPerMinute, redis)
      const counted = limitedBy(limiter, authenticator)
      return createServer({
        config,
        log,
        metrics,
        resolvers,
        authenticator,
        limiter,
        doors: [
          segmentApi(events, counted, (messages, receivedAt) => adEvents.take(messages, receivedAt)),
          postsDoor(reviews, webhookSecret),
          ownModelDoor(ownModels, counted),
          importDoor(imports, counted),
          exportDoor(audienceExports, counted),
          openrtbDoor({ bidding, repository: biddingRepository, authenticator: counted, log, currency: config.currency }),
        ],
        readiness: () => health.readiness(),
        scrape: createScrape(metrics.registry, observe),
        consoleFolder: join(root, 'dist/console'),
      })
    },
    close: async () => {
      liveModels.stop()
      authenticator.close()
      catalogue.close()
      await decisions.close()
      placementsInMemory.close()
      snapshots.stop()
      faqIndex.stop()
      onlineLearning.stop()
      await apiKeys.close()
      await queues.close()
      await pool.close()
      await signals.close()
      redis?.disconnect()
      await database.close()
    },
  }
}

function givenUpState(jobs: readonly { name: string; count: number }[]) {
  if (jobs.length === 0) return undefined
  const names = jobs.map(({ name, count }) => (count > 1 ? `${name} (${count})` : name)).join(', ')
  return {
    state: 'degraded',
    reason: `Given up in the last 24 hours: ${names}; jobs(state: FAILED) says why, and jobRetry begins them again`,
  }
}

function servingState(tasks: ReadonlyMap<string, unknown>, live: LiveModels) {
  const parts = [...tasks.keys()].map(task => ({
    task,
    serves: live.live(task)?.servedBy ?? live.baseline(task)?.servedBy,
    isLive: live.live(task) !== undefined,
  }))
  const reason = parts.map(({ task, serves }) => `${task}: ${serves ?? 'not even a baseline yet'}`).join('; ')
  return { state: parts.every(({ isLive }) => isLive) ? 'ok' : 'waiting', reason, rowsOut: parts.filter(({ isLive }) => isLive).length }
}
