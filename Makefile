# penstock. `make` alone prints this help.
GO ?= go
PACKAGES ?= ./...

.DEFAULT_GOAL := help
.PHONY: help demo test check test-real chaos chaos-seeds workloads memory observed scrape-docs bench build release-snapshot test-install

help: ## print this help
	@while IFS= read -r line; do case $$line in [a-z]*": ## "*) printf '  make %-16s %s\n' "$${line%%:*}" "$${line#*## }";; esac; done <Makefile

demo: ## 10,000 real flights through an embedded broker, checked (KEEP=1 leaves the broker up)
	CGO_ENABLED=0 $(GO) run ./cmd/penstock demo $(if $(KEEP),--keep)

test: ## every test that needs nothing but Go
	CGO_ENABLED=0 $(GO) test $(PACKAGES)

check: ## format, vet, types on other systems, staticcheck, tidiness, licences, and the tests under the race detector (a C compiler)
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	CGO_ENABLED=0 $(GO) vet ./...
	CGO_ENABLED=0 $(GO) vet -tags real,chaos,workload,loki,browser ./...
	CGO_ENABLED=0 $(GO) run ./.ci/types darwin windows
	CGO_ENABLED=0 $(GO) tool staticcheck -checks "$$(grep -v '^\(#\|$$\)' .ci/staticcheck | paste -sd' ' | tr ' ' ',')" ./...
	.ci/race $(GO) $(PACKAGES)

test-real: ## the Kafka, PostgreSQL, MariaDB, Redis and Prometheus tests against the real ones, and the chat and the page of the endpoint in Chromium, installed and started here (Java 17, Maven)
	testdata/real/run.sh $(GO)

chaos: ## real brokers, frozen and killed, moving leaders, daemons that come, go and die, a hanging sink, 1,000,000 rows through 50 kills (not in make test; 35 minutes)
	testdata/real/run.sh $(GO) real,chaos -v -timeout 60m -run 'Stops|Members|Hangs|BrokersDie|LeadersMove|Security|Rows' ./pipeline/cli

chaos-seeds: ## 1,000 seeded runs of a group under faults, in virtual time (SEEDS=n for another number; make test runs 50)
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 30m -run TestDeliveryUnderFaults ./pipeline/kafka/kafkatest -args -chaos.seeds $(or $(SEEDS),1000)

workloads: ## W1 to W4 on a real broker beside a loop by hand (40 minutes, a quiet machine; ROWS=w1-zstd,w4 ROUNDS=2 RECORDS=n CONTROL=1 BASE=old-penstock PROFILE=dir)
	testdata/real/run.sh $(GO) real,workload -v -timeout 180m -run TestWorkloads ./pipeline/cli -args \
		$(if $(ROWS),-workload.rows=$(ROWS)) $(if $(ROUNDS),-workload.rounds=$(ROUNDS)) $(if $(RECORDS),-workload.records=$(RECORDS)) \
		$(if $(CONTROL),-workload.control) $(if $(BASE),-workload.base=$(abspath $(BASE))) $(if $(PROFILE),-workload.profile=$(abspath $(PROFILE)))

memory: ## peak memory of the daemon under 64, 128 and 256 MiB, 90 cells; fails above (50 minutes; CELLS=w1,slow-4KB BUDGETS=64,128 PROFILE=dir)
	testdata/real/run.sh $(GO) real,workload -v -timeout 180m -run 'TestMemory$$' ./pipeline/cli -args \
		$(if $(CELLS),-memory.cells=$(CELLS)) $(if $(BUDGETS),-memory.budgets=$(BUDGETS)) $(if $(PROFILE),-workload.profile=$(abspath $(PROFILE)))

observed: ## what a daemon takes when idle and scraped, or with its page open in Chromium (below 1 % of a core), and what events and metrics cost W1 (below 1 %); 40 minutes, a quiet machine (ROUNDS=n RECORDS=n IDLE=3m)
	testdata/real/run.sh $(GO) real,workload,browser -v -timeout 120m -run 'TestAnIdleDaemonThatIs|TestWhatEventsAndMetricsCost' ./pipeline/cli -args \
		$(if $(ROUNDS),-observed.rounds=$(ROUNDS)) $(if $(RECORDS),-workload.records=$(RECORDS)) $(if $(IDLE),-observed.idle=$(IDLE))

scrape-docs: ## the scraper over Debian's python3-doc behind nginx on loopback, judged by nginx's log (nginx, python3-doc; a minute)
	$(GO) test -count=1 -tags real,workload -v -timeout 10m -run TestScrapeOfDocs ./stages/scrape

bench: ## the benchmarks, each a ratio to a limit measured in the same run
	$(GO) test -run '^$$' -bench . -benchtime 1x ./...

build: ## the daemon, as bin/penstock
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/penstock ./cmd/penstock

release-snapshot: ## archives, deb, rpm, checksums and lists of what is linked, of this commit, in dist (no images; 20 minutes the first time; TARGET=linux/amd64 makes one)
	deploy/packages/snapshot.sh $(GO) $(TARGET)

test-install: ## the deb of dist in a clean Debian: installed, run, reloaded, crashed, ended and removed (root, debootstrap, systemd-container; SUITE=bookworm)
	deploy/install/run.sh dist/penstock_*_linux_amd64.deb $(SUITE)
