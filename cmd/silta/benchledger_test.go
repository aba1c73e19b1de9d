//go:build postgres

package main

import (
	"strings"
	"testing"

	"github.com/hoitosilta/silta/testfixtures/postgres"
)

func TestBenchLedgerMeasuresSearches(t *testing.T) {
	s := postgres.ForTest(t)
	args := []string{"ledger", "--ledger", s.URL(), "--messages", "500", "--months", "2", "--runs", "3"}
	figures := benched(t, args...)
	positive(t, figures, "messages", "months", "madeInSeconds", "worstIdMsP95")
	rows := map[string]float64{}
	for _, each := range figures["searches"].([]any) {
		search := each.(map[string]any)
		positive(t, search, "msP50", "msP95", "msP99")
		rows[search["search"].(string)] = search["rows"].(float64)
	}
	for search, want := range map[string]float64{"find by our id": 1, "find by control id": 1, "find by outgoing control id": 1, "find by placer id": 5, "find by journey": 5,
		"find by delivery": 1, "find something unknown": 0, "lookup of a partner's name": 1, "names of a journey": 24, "steps of a journey": 25, "steps of a message": 5,
		"deliveries of a message": 1, "a message": 1, "list delivered": 200, "list of a sender": 125, "list of a receiver": 200, "list of a small receiver": 10,
		"list of a partner that has none": 0, "list of a type": 100, "list of a receiver and a type": 100, "list of a small receiver and a type": 0} {
		if got, there := rows[search]; got != want || !there {
			t.Errorf("%s gives %v rows on average, want %v", search, got, want)
		}
	}
	if figures = benched(t, args...); figures["madeInSeconds"] != nil {
		t.Error("a ledger that was filled is filled again")
	}
	args[4] = "1000"
	if code, _, stderr := silta(t, "", append([]string{"bench"}, args...)...); code != exitUsage || !strings.Contains(stderr, "500 messages") {
		t.Errorf("a ledger that holds something else exits %d: %s", code, stderr)
	}
}
