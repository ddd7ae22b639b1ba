# `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
PG := $(GO) run ./internal/store/storetest/pgserver --

.PHONY: help run build test test/race test/postgres test/e2e bench bench/micro fuzz generate verify lint fmt check hooks needs needs/e2e

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9\/]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## start the demo: a server with made-up people, nothing else needed
	@./rapport demo

build: ## build ./rapport
	$(GO) build -trimpath -o rapport ./cmd/rapport

needs:
	@./tools/needs postgres

needs/e2e:
	@./tools/needs postgres node chromium

.cache/gotest: tools/gotest/main.go
	@$(GO) build -C tools -o ../.cache/gotest ./gotest

test: needs needs/e2e build .cache/gotest ## all tests: unit tests on SQLite and PostgreSQL, then the vendor's clients against the built binary
	$(PG) .cache/gotest ./...
	cd e2e && ./run

test/race: needs .cache/gotest ## unit tests with the race detector
	$(PG) .cache/gotest -race ./...

test/postgres: needs .cache/gotest ## the store's and engine's tests only
	$(PG) .cache/gotest ./internal/store/... ./internal/engine/...

test/e2e: needs/e2e build ## the vendor's clients against the built binary only
	cd e2e && ./run

bench: build ## measure this machine, see docs/performance.md
	./rapport bench

bench/micro: ## Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

FUZZTIME ?= 20s
fuzz: ## run every fuzz target for FUZZTIME
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' liquid internal); do \
	  for t in $$(grep -o '^func Fuzz[A-Za-z0-9]*' $$f | cut -c6-); do \
	    echo "== $$t ($$(dirname $$f))"; $(GO) test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f); done; done

generate: needs ## rewrite golden files; the tests hold them to what is generated
	$(PG) $(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' internal | xargs -n1 dirname | sort -u | sed 's|^|./|') -update

verify: ## what is generated or formatted is as committed
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) vet -tags conformance ./internal/mcp/...
	$(GO) -C tools vet ./gotest
	@out=$$($(TOOL) gofumpt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not formatted:"; echo "$$out"; exit 1; }

lint: ## golangci-lint
	$(TOOL) golangci-lint run ./...

fmt: ## format
	$(TOOL) gofumpt -w $$(git ls-files '*.go')

check: fmt lint test verify ## everything before a push

hooks: ## run the fast checks before each commit
	git config core.hooksPath .githooks
