// Package chaos breaks the program from outside and judges what is left. It has
// no code of its own to ship: `make fault` runs it, `make fault LONG=1` all of it,
// SEED=n repeats the choices of an earlier run.
//
//	 load: users who create, race, pay, repeat      readers: SSE, pages
//	   |                                              ^
//	   v  HTTP                                        |
//	replica a      replica b     (app run; killed, stopped, frozen)
//	   |               |
//	 proxy           proxy       (cut, slow, stopped at a statement)
//	   |               |
//	   +-> PostgreSQL <+         (fsync on; killed, full, locked, restored)
//
// Each scenario has a database of its own. While one thing after the other
// breaks, a recorder writes down what every client did and what it knows: when
// it asked, when it was answered, ids, expected versions, and whether that was
// done, certainly not done, or neither. Readers note every position they are
// given. When the fault is over, the time until all replicas serve is taken;
// then checks compare the history with the database, by plain SQL and a plain
// fold that share no line with the program: not its store, its aggregator, its
// domains. `app verify` has the last word.
//
// A check that cannot fail proves nothing: TestEachCheckCatchesItsDefect plants
// a defect for each and runs with every `make test`. Histories and logs of a run
// that failed are kept; its first line says where.
//
// # Which test proves which promise
//
// Scenarios are in quotes; each one is also judged for P1 to P7, for answers that
// no page documents and for hangs. Tests are named after their folder. A test
// of this package holds the list to what there is.
//
//	P1   an acknowledged event survives kill -9 of the app and of PostgreSQL
//	     "app killed at random" "app killed at each step" "postmaster killed"
//	     "backend killed in commit" "embedded server killed" "disk full"
//	     "cut between commit and answer"
//	     cmd TestSmokeAKilledServerLosesNothing
//	     internal/postgres/embedded TestTheServerStartsAgainAfterKill9
//	P2   an id is stored at most once
//	     "many send the same ids" "cut between commit and answer" "dump and restore"
//	     internal/eventstore TestRepeatedIDsAreStoredOnce TestAKnownIDAnswersAsItFirstDid
//	     internal/app TestOneOf32ConcurrentRepeatsIsRecorded
//	P3   the same id with other content is refused
//	     internal/eventstore TestEachRequestHasTheOutcomeOfTheRules
//	     internal/app TestAppendAnswers
//	P4   versions are 1..n, one winner per version
//	     "many write one aggregate"
//	     internal/eventstore TestOneWriterWinsEachVersion
//	P5   positions are 1..N without gaps, in commit order
//	     "app killed at random" "postmaster killed" "clock one hour off"
//	     internal/eventstore TestReadersSeeNoGaps
//	P6   a batch is all or nothing
//	     "app killed at each step" "backend killed in commit"
//	     internal/app TestAnArrayIsAllOrNothing
//	     internal/eventstore TestARefusalDoesNotTouchItsNeighbours
//	P7   a view equals the fold of its events
//	     "app frozen in a batch" "app killed at each step" "cut between commit and answer"
//	     cmd TestEveryViewObeysTheLaws
//	     internal/aggregator TestReplicasApplyEachEventOnce TestTheLawsFindDefects
//	P8   a lost notification costs delay, never data
//	     "trigger dropped" "listener terminated" "listener half-open"
//	     internal/listener TestTheTimerWakesWithinASecondAndAHalfWhenNotificationsAreLost
//	     internal/listener TestAHalfOpenConnectionIsReplaced
//	     internal/app TestViewsFollowWithoutNotifications
//	     internal/tail TestNothingIsLostWithEveryNotification
//	P9   service is normal within 10 s
//	     "app stopped under load" "restart with idle connections" "embedded server killed"
//	     "two migrators, one killed" "dump and restore" "two versions at once"
//	     internal/postgres TestARestartedServerCostsIdleConnectionsNoRequest
//	     internal/postgres/embedded TestSuperviseBringsAKilledServerBack
//	     internal/listener TestServiceIsNormalSoonAfterTheServerIsBack
//	     internal/migrate TestAKilledMigratorLeavesNothingToCleanUp
//	P10  clean failure while the database is away
//	     "network cut for 1 s" "network cut for 5 s" "network cut for 30 s"
//	     "connections closed and refused" "latency of 50 ms" "log head locked"
//	     "statements time out" "pool exhausted" "max_connections reached" "server read-only"
//	     internal/eventstore TestAnAppendIsAnsweredInTimeWhateverItsBatchWaitsFor
//	     internal/postgres TestEverySQLStateOfAServerInTroubleIsUnavailable
//	P11  a poison event stops only its aggregate
//	     "poison event"
//	     internal/aggregator TestEveryKindOfPoisonParksItsAggregate
//	     internal/aggregator TestARetryAfterTheFixAppliesAllThatWaitedInOrder
//	P12  a rebuild is invisible to readers
//	     "rebuild under load and kills"
//	     internal/aggregator TestReadersAndWritersDoNotNoticeARebuild TestARebuildIsResumed
//	P13  streams are in order, resumable, and safe from slow clients
//	     "50 stream clients stop reading" "500 stream clients come back at once"
//	     internal/tail TestAResumedStreamIsOneRunWithoutGaps
//	     internal/tail TestClientsThatStopReadingAreDroppedWhileOthersFlow
//	P14  time travel gives what was true then
//	     internal/app TestAThousandMomentsEqualAPlainFold TestTheHistoryOfARowRebuildsIt
//	     internal/app TestAPaymentIsReadAsTheViewShowedIt TestTheHistoryOfAPaymentRebuildsIt
//	P15  history cannot be changed, and tampering is found
//	     internal/eventstore TestHistoryCannotBeChanged TestSealsCannotBeChanged
//	     internal/verify TestTamperingIsFoundAndLocated TestASealKeptOutsideProvesTheLog
//	P16  bad input harms nothing
//	     internal/app TestABodyThatIsNotJSONIsRefused TestABodyThatBreaksTheRulesIsRefusedWithEveryMistake
//	     internal/app TestAnEventThatDoesNotFitTheLogIsRefused TestLegalOdditiesReadBackExactly
//	     internal/app TestWhatHTTPCanCarryIsRefused TestSlowClientsAreCutOff TestBadParametersAreRefused
//	     internal/app TestLimitsHoldToTheByte TestGarbageInTheChannelsIsCountedAndIgnored
//	     internal/app TestValidRequestsNeverFailTheServer TestInvalidRequestsAreRefused
//	     internal/httpapi TestHostileFramingGetsAProblem TestConnectionIsUsableAfterARefusal
//	     internal/strictjson FuzzParse FuzzAcceptedIsStored TestHostileBodiesAreRefusedInBoundedTime
//	     internal/listener TestGarbageFromAnyRoleIsCountedAndWakesNobody
//	P17  the recorded actor is the credential's
//	     internal/app TestTheRecordedActorIsTheCredentials
//	     internal/auth TestForgedTokensAreRefused TestASpoofedAddressHasNoEffect
//	P18  secrets and payloads do not reach logs or error bodies
//	     internal/app TestCredentialsReachNoLogAndNoAnswer
//	     internal/app canary_test.go watches every program that a test there starts;
//	     TestACanaryInALogOrAnAnswerIsFound
//	     internal/auth TestSecretsAreStoredNowhere
//	     internal/aggregator TestErrorsOfEventsAreNotLogged
//	     cmd TestNoCommandPrintsAPassword
//
// # What it does not show
//
// Faults hit one machine: a power cut is a kill of every process, which leaves
// the page cache, and not a lost disk cache. The clock that is an hour off is the
// program's, by a build that adds the hour, because a Go program asks the kernel
// and not the C library that libfaketime replaces. The load is some hundred
// events a second, so that a run says something about faults and not about two
// busy cores; `make bench` is for the rest.
package chaos
