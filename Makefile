# `make run` and `make test` are all a newcomer needs; `make` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run test build lint fmt fmt-check tidy-check vet generate smoke bench fuzz fuzz-briefly ci deps postgresql clean

# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(shell command -v gcc || command -v clang),-race)

FUZZTIME ?= 1m

LINT_VERSION := v2.15.0
# The name carries the version, so that another version is simply not there.
LINT := .bin/golangci-lint-$(LINT_VERSION)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	go vet ./...

generate: ## write the files that are made from code: .env.example
	go test -count=1 -run TestTheExampleFileIsTheTable ./internal/config -update

smoke: postgresql ## drive the built binary with test.http, and the program behind PgBouncer
	@.ci/pgbouncer.sh
	go test -count=1 -tags smoke -run 'TestSmoke|PgBouncer' ./cmd ./internal/app

fuzz: postgresql ## let every fuzz target run for FUZZTIME, 1m unless given
	.ci/fuzz.sh $(FUZZTIME)

bench: postgresql build ## measure the program and what it is compared with; 15 minutes
	./app bench

fuzz-briefly: # what CI has time for
	$(MAKE) fuzz FUZZTIME=3s

ci: postgresql fmt-check tidy-check vet lint build test fuzz-briefly smoke ## everything CI checks

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
