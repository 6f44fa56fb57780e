-- CreateTable
CREATE TABLE "DecisionRepeat" (
    "decisionId" TEXT NOT NULL,
    "count" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "DecisionRepeat_pkey" PRIMARY KEY ("decisionId")
);
