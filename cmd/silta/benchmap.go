package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/mappings"
)

// translating is a pace with what belongs to a map.
type translating struct {
	pace
	Map             string   `json:"map"`
	Taken           int      `json:"taken"` // messages that the map took; the others are counted with them
	ParsesPerSecond float64  `json:"parseMessagesPerSecond"`
	Reverse         bool     `json:"reverse,omitempty"`
	OutBytes        int      `json:"outBytes"` // of what was made of the set
	Parts           mapParts `json:"microseconds"`
}

// mapParts are the parts of the way, each measured alone, in microseconds of one core a message. Validation and lineage
// are inside of translate; reading back isn't part of the pace.
type mapParts struct {
	Parse     float64 `json:"parse"`
	Contract  float64 `json:"contract"`
	Translate float64 `json:"translate"`
	Validate  float64 `json:"validate"`
	Lineage   float64 `json:"lineage"` // translate less translate with a recorder that does nothing
	Residue   float64 `json:"residue"` // translate less translate that keeps nothing of what no rule carries
	Write     float64 `json:"write"`
	ReadBack  float64 `json:"readBack"`
}

func newBenchMap(t *terminal) *cobra.Command {
	var id, dir, partner string
	var reverse bool
	var span time.Duration
	c := &cobra.Command{
		Use:   "map",
		Short: "Measure translating on one core",
		Long: "Parses every message of a folder, checks it against a contract, translates it by a map with lineage and the validation\n" +
			"of the result, and writes it, again and again for a few seconds on one core, in turn with its baselines: parsing alone,\n" +
			"and reading the bytes for delimiters. Then each part is measured alone. --reverse goes from the canonical Bundles\n" +
			"(.json) to HL7 v2; no contract has a part in that, and the result is validated by reading it back. Without --dir the\n" +
			"messages are made-up REF^I12 of 1 to 3 KB, dense with results.",
		Example: "  silta bench map --map ref-i12 --dir messages/",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			catalog, err := openCatalog("mappings")
			if err != nil {
				return configuration{err}
			}
			b := mapBench{reverse: reverse}
			if b.m, err = catalog.Map(id); err != nil {
				return configuration{err}
			}
			if b.agreed, err = benchContract(partner); err != nil {
				return err
			}
			if err = b.load(t, dir); err != nil {
				return err
			}
			r := b.measure(span)
			if r.Taken == 0 {
				return contracts.Faultf(contracts.Invalid, "BENCH-002", "", "The map %s takes none of the %d messages, so there is nothing to measure.", r.Map, r.Messages)
			}
			if t.json() {
				return t.print(r)
			}
			p := r.Parts
			return writeFigures(t, r.Machine, append(r.figures(),
				figure{"baseline: parse, messages/s", fmt.Sprintf("%.0f", r.ParsesPerSecond)},
				figure{"map", fmt.Sprintf("%s, takes %d of %d messages, makes %d bytes", r.Map, r.Taken, r.Messages, r.OutBytes)},
				figure{"microseconds a message: parse", fmt.Sprintf("%.1f", p.Parse)},
				figure{"  check the contract", fmt.Sprintf("%.1f", p.Contract)},
				figure{"  translate", fmt.Sprintf("%.1f, of which validation %.1f, lineage %.1f, residue %.1f", p.Translate, p.Validate, p.Lineage, p.Residue)},
				figure{"  write", fmt.Sprintf("%.1f", p.Write)},
				figure{"read back what was written", fmt.Sprintf("%.1f", p.ReadBack)}))
		},
	}
	c.Flags().StringVar(&id, "map", "ref-i12", "the map: ID or ID@VERSION")
	c.Flags().StringVar(&dir, "dir", "", "a folder with .hl7 files (.json with --reverse), folders in it included; made-up messages if empty")
	c.Flags().StringVar(&partner, "contract", "", "the partner whose contract the messages must keep to, or a contract's file; one with four rules if empty")
	c.Flags().DurationVar(&span, "time", 2*time.Second, "how long each side works")
	c.Flags().BoolVar(&reverse, "reverse", false, "from canonical to HL7 v2")
	return c
}

// benchContract is what the messages must hold beside the standard: by a partner's contract, or what any would ask of a
// referral.
func benchContract(name string) (agreedPartner, error) {
	if name != "" {
		return v2Contract(name)
	}
	p := &contracts.Partner{Dialect: contracts.Dialect{Format: contracts.FormatV2, Version: "2.5.1"}, Rules: []contracts.FieldRule{
		{For: "REF^*", At: "RF1", Usage: contracts.UsageRequired},
		{For: "*", At: "PID-3", Usage: contracts.UsageRequired},
		{For: "REF^*", At: "RF1-6.1", Usage: contracts.UsageRequired, MaxLength: 40},
		{For: "REF^*", At: "RF1-2.1", Codes: []string{"R", "S", "A"}},
	}}
	agreement, err := hl7v2.NewAgreement(p)
	return agreedPartner{p, nil, agreement}, err
}

// mapBench is a map with what it works on.
type mapBench struct {
	m       *mappings.Map
	agreed  agreedPartner
	reverse bool
	set     [][]byte
}

// load reads the messages, or the Bundles for the reverse; of made-up messages those that the map makes.
func (b *mapBench) load(t *terminal, dir string) (err error) {
	if b.reverse && dir != "" {
		err := eachFile(dir, ".json", func(_ string, bundle []byte) { b.set = append(b.set, bundle) })
		if err == nil && len(b.set) == 0 {
			err = usagef("%s holds no .json file", dir)
		}
		return err
	}
	messages, err := benchMessages(t, dir)
	if err != nil || !b.reverse {
		b.set = messages
		return err
	}
	for _, message := range messages {
		if bundle := b.forward(message); bundle != nil {
			b.set = append(b.set, bundle)
		}
	}
	if len(b.set) == 0 {
		return usagef("the map %s takes no made-up referral; give Bundles with --dir", b.m.Name())
	}
	return nil
}

// benchTime is the moment that translations take for now: the figures don't depend on it.
var benchTime = time.Date(2026, 3, 2, 9, 15, 0, 0, time.UTC)

var benchContext = mappings.Context{Now: benchTime, Residue: true}

// forward gives the canonical Bundle's bytes, or nil if the contract or the map doesn't take the message.
func (b *mapBench) forward(raw []byte) []byte {
	message, err := hl7v2.Parse(raw, b.agreed.reading...)
	if err != nil || b.agreed.agreement.Check(message).Err() != nil {
		return nil
	}
	result, err := b.m.Forward(message, benchContext)
	if err != nil {
		return nil
	}
	return result.Bundle.Append(nil)
}

func (b *mapBench) backward(raw []byte) []byte {
	tree, err := fhir.Parse(raw)
	if err != nil {
		return nil
	}
	result, err := b.m.Reverse(tree, benchContext)
	if err != nil {
		return nil
	}
	return result.Message.Bytes()
}

func (b *mapBench) measure(span time.Duration) translating {
	run := b.forward
	parse := func(raw []byte) { _, _ = hl7v2.Parse(raw, b.agreed.reading...) }
	if b.reverse {
		run, parse = b.backward, func(raw []byte) { _, _ = fhir.Parse(raw) }
	}
	r := translating{Map: b.m.Name(), Reverse: b.reverse}
	var taken, made [][]byte
	for _, raw := range b.set {
		if out := run(raw); out != nil {
			taken, made = append(taken, raw), append(made, out)
			r.Taken, r.OutBytes = r.Taken+1, r.OutBytes+len(out)
		}
	}
	r.pace = measure(b.set, span, func(raw []byte) { run(raw) })
	r.ParsesPerSecond = measure(b.set, span, parse).MessagesPerSecond
	if r.Taken > 0 && b.reverse {
		r.Parts = b.partsBackward(taken, made, span)
	} else if r.Taken > 0 {
		r.Parts = b.partsForward(taken, made, span)
	}
	return r
}

func (b *mapBench) partsForward(taken, made [][]byte, span time.Duration) mapParts {
	messages, results := make([]*hl7v2.Message, len(taken)), make([]*mappings.Result, len(taken))
	for i := range taken {
		messages[i], _ = hl7v2.Parse(taken[i], b.agreed.reading...)
		results[i], _ = b.m.Forward(messages[i], benchContext)
	}
	plain := benchContext
	plain.Residue = false
	quiet := plain
	quiet.Untraced = true
	us := alone(len(taken), span,
		func(i int) { _, _ = hl7v2.Parse(taken[i], b.agreed.reading...) },
		func(i int) { b.agreed.agreement.Check(messages[i]) },
		func(i int) { _, _ = b.m.Forward(messages[i], benchContext) },
		func(i int) { _, _ = b.m.Forward(messages[i], plain) },
		func(i int) { _, _ = b.m.Forward(messages[i], quiet) },
		func(i int) { fhir.Validate(results[i].Bundle) },
		func(i int) { results[i].Bundle.Append(nil) },
		func(i int) { _, _ = fhir.Parse(made[i]) })
	return mapParts{Parse: us[0], Contract: us[1], Translate: us[2], Residue: us[2] - us[3], Lineage: us[3] - us[4], Validate: us[5], Write: us[6], ReadBack: us[7]}
}

func (b *mapBench) partsBackward(taken, made [][]byte, span time.Duration) mapParts {
	bundles, results := make([]*fhir.Tree, len(taken)), make([]*mappings.Result, len(taken))
	for i := range taken {
		bundles[i], _ = fhir.Parse(taken[i])
		results[i], _ = b.m.Reverse(bundles[i], benchContext)
	}
	quiet := benchContext
	quiet.Untraced = true
	us := alone(len(taken), span,
		func(i int) { _, _ = fhir.Parse(taken[i]) },
		func(i int) { _, _ = b.m.Reverse(bundles[i], benchContext) },
		func(i int) { _, _ = b.m.Reverse(bundles[i], quiet) },
		func(i int) { results[i].Message.Bytes() },
		func(i int) { _, _ = hl7v2.Parse(made[i]) })
	return mapParts{Parse: us[0], Translate: us[1], Lineage: us[1] - us[2], Write: us[3], ReadBack: us[4]}
}

// alone runs each part for all n messages in turn, on one core for span in all, and gives the processor time that each
// takes for a message, in microseconds.
func alone(n int, span time.Duration, parts ...func(i int)) []float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	spent, sets := make([]time.Duration, len(parts)), make([]int, len(parts))
	for range rounds {
		for p, part := range parts {
			d, times := repeat(numbers, span/time.Duration(rounds*len(parts)), part)
			spent[p], sets[p] = spent[p]+d, sets[p]+times
		}
	}
	us := make([]float64, len(parts))
	for p := range parts {
		us[p] = float64(spent[p].Nanoseconds()) / 1000 / float64(sets[p]*n)
	}
	return us
}
