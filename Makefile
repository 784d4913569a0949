# `make run` and `make test` are all a newcomer needs; `make` lists the rest.
.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(MAKEFILE_LIST))

# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(shell command -v gcc || command -v clang),-race)

FUZZTIME ?= 1m

LINT_VERSION := v2.15.0
# The name carries the version, so that another version is simply not there.
LINT := .bin/golangci-lint-$(LINT_VERSION)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and serve; starts its own PostgreSQL unless APP_DATABASE_URL is set
	@[ -n "$$APP_DATABASE_URL" ] || grep -qs '^APP_DATABASE_URL=.' .env || .ci/postgresql.sh
	./app run

test: postgresql ## run every test with the race detector
	go test $(RACE) -shuffle=on ./...

build: ## compile the binary ./app
	CGO_ENABLED=0 go build -trimpath -o app .

lint: $(LINT) ## check the code against .golangci.yml
	$(LINT) run

fmt: $(LINT) ## format the code
	$(LINT) fmt

fmt-check: $(LINT) ## fail when the code is not formatted
	$(LINT) fmt --diff

tidy-check: ## fail when go.mod does not list exactly what is imported
	go mod tidy -diff

vet: ## run go vet
	go vet -tags smoke,client,browser,fault ./...

generate: ## write the files that are made from code: .env.example, the golden lists
	go test -count=1 -run TestTheExampleFileIsTheTable ./internal/config -update
	go test -count=1 -run 'TestRoutesAndEventNamesArePublic|TestTheSpecificationIsPublic' ./internal/app -update
	go test -count=1 -run TestTheTypesArePublic ./internal/tsclient -update
	.ci/client.sh compile

lint-openapi: build ## lint the specification; needs node, or SKIP_NODE=1
	.ci/lint-openapi.sh

smoke: postgresql ## drive the built binary with test.http, and the program behind PgBouncer
	@.ci/pgbouncer.sh
	go test -count=1 -tags smoke -run 'TestSmoke|PgBouncer' ./cmd ./internal/app

fuzz: postgresql ## let every fuzz target run for FUZZTIME, 1m unless given
	.ci/fuzz.sh $(FUZZTIME)

fuzz-briefly: # what CI has time for
	$(MAKE) fuzz FUZZTIME=3s

test-client: postgresql ## try the TypeScript client with tsc and node; needs node, or SKIP_NODE=1
	.ci/client.sh test

fault: postgresql ## break the program and PostgreSQL under load and judge what is left; LONG=1 for all of it, SEED=n to repeat
	go test -count=1 -v -tags fault -timeout $(if $(LONG),2h,20m) -run TestFaults ./internal/chaos $(if $(LONG),-long) $(if $(SEED),-seed $(SEED))

test-browser: postgresql ## drive the pages in Chromium; pictures go to dist/screenshots, SKIP_BROWSER=1 goes without
	@.ci/chromium.sh
	go test -count=1 -tags browser -run Browser ./internal/app

bench: postgresql build ## measure the program and what it is compared with; half an hour
	mkdir -p dist
	./app bench --save dist/bench.json --plot dist/bench.svg

# Growth, visibility and streams have nothing beside them to be a ratio of.
bench-check: postgresql build ## fail when it is slower than the figures kept in the repository; 15 minutes
	mkdir -p dist
	./app bench --only append,lone,command,read,list,project,rebuild,idle --stored 1000000 \
		--save dist/bench-check.json --compare internal/bench/testdata/figures.json

ci: postgresql fmt-check tidy-check vet lint build lint-openapi test fuzz-briefly smoke test-client test-browser ## everything CI checks

deps: postgresql $(LINT) ## fetch modules and tools, to work offline afterwards
	go mod download

postgresql: # install PostgreSQL's server package where it is missing
	@.ci/postgresql.sh

clean: ## remove what the build made; data in .data stays
	rm -rf app dist
	go clean -testcache

$(LINT):
	GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv .bin/golangci-lint $@
