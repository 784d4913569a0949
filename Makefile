# `make run` and `make test` are all a newcomer needs; `make` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run test build lint fmt fmt-check tidy-check vet generate lint-openapi smoke test-browser test-client bench ci deps postgresql clean

# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(shell command -v gcc || command -v clang),-race)

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
	go vet ./...

generate: ## write the files that are made from code: .env.example, the golden lists
	go test -count=1 -run TestTheExampleFileIsTheTable ./internal/config -update
	go test -count=1 -run 'TestRoutesAndEventNamesArePublic|TestTheSpecificationIsPublic' ./internal/app -update
	go test -count=1 -run TestTheTypesArePublic ./internal/tsclient -update
	.ci/client.sh compile

lint-openapi: build ## lint the specification; needs node, or SKIP_NODE=1
	.ci/lint-openapi.sh

smoke: postgresql ## drive the built binary with test.http
	go test -count=1 -tags smoke -run TestSmoke ./cmd

test-client: postgresql ## try the TypeScript client with tsc and node; needs node, or SKIP_NODE=1
	.ci/client.sh test

test-browser: postgresql ## look at the pages in a real Chromium; needs one, or SKIP_BROWSER=1
	go test -count=1 -tags browser -run Browser ./internal/app

bench: postgresql build ## measure the program and what it is compared with; 15 minutes
	./app bench

ci: postgresql fmt-check tidy-check vet lint build lint-openapi test smoke test-client ## everything CI checks

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
