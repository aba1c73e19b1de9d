package main

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// The parts of a flow among which the processor's time is shared out. Senders and receiver say by a label that they are
// that; what the hub does is told by who stands on the stack.
const (
	partSender   = "sender"
	partReceiver = "receiver"
)

// stackParts name the part of a sample by the functions on its stack: the innermost that one of these names decides, since
// the bus calls the hub, and the hub the ledger.
var stackParts = []struct{ function, part string }{
	{"adapters/ledger.", "ledger"},
	{"adapters/embedded.", "bus"}, {"adapters/kafka.", "bus"}, {"franz-go", "bus"},
	{"testfixtures/bare.", "baseline"},
	{"adapters/mllp.(*Courier)", "courier"}, {"adapters/mllp.(*line)", "courier"}, {"adapters/fhirrest.(*Courier)", "courier"},
	{"adapters/mllp.", "door"}, {"hub.(*Hub).Receive", "door"},
	{"hub.(*Hub).deliver", "deliver"},
	{"hub.(*Hub).translate", "translate"},
	{"runtime.gcBgMarkWorker", "collector"}, {"runtime.bgsweep", "collector"},
}

// asPart does work whose samples count for a part.
func asPart(ctx context.Context, part string, work func(context.Context)) {
	pprof.Do(ctx, pprof.Labels("part", part), work)
}

// sampleShares begins to sample where the processor's time goes. What it gives ends that, and adds what it found to
// shares of earlier rounds, each with equal weight.
func sampleShares() (func(map[string]float64, error) (map[string]float64, error), error) {
	var written bytes.Buffer
	if err := pprof.StartCPUProfile(&written); err != nil {
		return nil, err
	}
	return func(before map[string]float64, failed error) (map[string]float64, error) {
		pprof.StopCPUProfile()
		if failed != nil {
			return before, failed
		}
		p, err := profile.Parse(&written)
		if err != nil {
			return before, err
		}
		now, total := map[string]float64{}, 0.0
		for _, s := range p.Sample {
			now[partOf(s)] += float64(s.Value[0])
			total += float64(s.Value[0])
		}
		for part := range now {
			now[part] /= total
		}
		if before == nil {
			return now, nil
		}
		for part := range before {
			now[part] += 0
		}
		for part := range now {
			now[part] = (now[part] + before[part]) / 2
		}
		return now, nil
	}, nil
}

func partOf(s *profile.Sample) string {
	if labels := s.Label["part"]; len(labels) > 0 {
		return labels[0]
	}
	for _, at := range s.Location {
		for _, line := range at.Line {
			for _, known := range stackParts {
				if line.Function != nil && strings.Contains(line.Function.Name, known.function) {
					return known.part
				}
			}
		}
	}
	return "runtime and the rest"
}

// sortedByShare gives the parts, the largest first.
func sortedByShare(shares map[string]float64) []string {
	return slices.SortedFunc(maps.Keys(shares), func(a, b string) int { return cmp.Compare(shares[b], shares[a]) })
}
