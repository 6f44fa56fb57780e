import { baseRate } from './base-rate.js'
import { boostedTrees } from './boosted-trees.js'
import type { ClassifierAlgorithm } from './classifier.js'
import { factorisationMachine } from './factorisation-machine.js'
import { logistic } from './logistic.js'
import { logisticL2 } from './logistic-l2.js'
import { tree } from './tree.js'

/** Every classifier of examples there is; the first is the baseline. A new one is one file and its name here. */
export const algorithms: readonly ClassifierAlgorithm[] = [baseRate, logistic, logisticL2, tree, boostedTrees, factorisationMachine]
