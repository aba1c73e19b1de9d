package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// sending is what `silta hl7 send` was asked for.
type sending struct {
	to          string
	count       int
	rate        float64
	connections int
	pipeline    int
	release     int
	answer      time.Duration
	secured     bool
	tls         contracts.TLSCourier
}

func (s sending) check() error {
	if _, port, err := net.SplitHostPort(s.to); err != nil {
		return usagef("--to HOST:PORT is needed")
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return usagef("--to %s: a port is a number from 1 to 65535", s.to)
	}
	switch {
	case s.connections < 1 || s.pipeline < 1:
		return usagef("--connections and --pipeline are at least 1")
	case s.rate < 0:
		return usagef("--rate is so many messages a second, or 0 for as fast as answers come")
	case s.release < 1 || s.release > 2:
		return usagef("--release is 1 or 2")
	}
	if !s.secured && s.tls != (contracts.TLSCourier{}) {
		return usagef("--ca, --cert, --key and --server-name go with --tls")
	}
	if (s.tls.CertFile == "") != (s.tls.KeyFile == "") {
		return usagef("--cert and --key go together")
	}
	return nil
}

func (s sending) courier() (*mllp.Courier, error) {
	log := logrus.New()
	log.SetOutput(io.Discard) // what matters is in the answers
	settings := contracts.MLLPCourier{To: s.to, Answer: s.answer, Connections: s.connections, Pipeline: s.pipeline, Release: s.release}
	if s.secured {
		settings.TLS = &s.tls
	}
	courier, err := mllp.NewCourier(settings, time.Now, log)
	if err != nil {
		return nil, configuration{err}
	}
	return courier, nil
}

func newHL7Send(t *terminal) *cobra.Command {
	var s sending
	c := &cobra.Command{
		Use:   "send --to HOST:PORT FILE…",
		Short: "Send messages over MLLP and show the answers",
		Long: "Sends messages and prints a line each: control id, MSA-1, milliseconds; then a summary. With --count the messages go\n" +
			"round and round until so many are sent, from the second round on under new control ids (ID-2, ID-3 …). The exit code\n" +
			"is 1 if a message wasn't accepted, and 3 if there was no answer at all. With --pipeline so many messages are in flight\n" +
			"on each connection, whose answers may come in any order.",
		Example: "  silta hl7 send --to 127.0.0.1:2575 referral.hl7 --count 1000 --connections 4",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := s.check(); err != nil {
				return err
			}
			messages, err := t.toSend(files, s.count)
			if err != nil || len(messages) == 0 {
				return err
			}
			return t.send(cmd.Context(), s, messages)
		},
	}
	c.Flags().StringVar(&s.to, "to", "", "the receiver's host:port")
	c.Flags().IntVar(&s.count, "count", 0, "how many messages to send; without it each once")
	c.Flags().Float64Var(&s.rate, "rate", 0, "messages a second; as fast as answers come without it")
	c.Flags().IntVar(&s.connections, "connections", 1, "connections at once")
	c.Flags().IntVar(&s.pipeline, "pipeline", 1, "messages in flight on each connection; one in release 2")
	c.Flags().IntVar(&s.release, "release", 1, "of MLLP: 1 or 2")
	c.Flags().BoolVar(&s.secured, "tls", false, "speak TLS, 1.2 at least")
	c.Flags().StringVar(&s.tls.CAFile, "ca", "", "who may have signed the receiver's certificate, PEM; the system's roots without it")
	c.Flags().StringVar(&s.tls.CertFile, "cert", "", "our certificate, where the receiver asks for one, PEM")
	c.Flags().StringVar(&s.tls.KeyFile, "key", "", "its key, PEM, readable by its owner alone")
	c.Flags().StringVar(&s.tls.ServerName, "server-name", "", "the name in the receiver's certificate; the host of --to without it")
	c.Flags().DurationVar(&s.answer, "answer", 30*time.Second, "how long to wait for an answer")
	return c
}

// onTheWire gives a message as it is sent: each segment ends in CR, whatever ended it in its file.
func onTheWire(m *hl7v2.Message) []byte {
	var out []byte
	for _, s := range m.Segments() {
		out = append(append(out, s.Raw()...), '\r')
	}
	return out
}

// toSend gives the parcels, each with the control id that its answer will name.
func (t *terminal) toSend(files []string, count int) ([]contracts.Parcel, error) {
	var originals []*hl7v2.Message
	if err := t.messages(files, func(_ string, m *hl7v2.Message) error {
		originals = append(originals, m)
		return nil
	}); err != nil || len(originals) == 0 {
		return nil, err
	}
	if count == 0 {
		count = len(originals)
	}
	parcels := make([]contracts.Parcel, count)
	path := hl7v2.MustPath("MSH-10")
	for i := range parcels {
		m := originals[i%len(originals)]
		body := onTheWire(m)
		if round := i/len(originals) + 1; round > 1 {
			again, err := hl7v2.Parse(body, hl7v2.WithCharset(m.Charset()))
			if err == nil {
				err = again.SetText(path, fmt.Sprintf("%s-%d", m.ControlID(), round))
			}
			if err != nil {
				return nil, err
			}
			m, body = again, again.Bytes()
		}
		parcels[i] = contracts.Parcel{Control: m.ControlID(), Type: m.Type(), Format: contracts.FormatV2, Body: contracts.NewBody(body), Attempt: 1}
	}
	return parcels, nil
}

// send sends the parcels over so many connections at once.
func (t *terminal) send(ctx context.Context, s sending, parcels []contracts.Parcel) error {
	courier, err := s.courier()
	if err != nil {
		return err
	}
	queue := make(chan contracts.Parcel)
	sum := summary{codes: map[string]int{}}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(queue)
		return feed(ctx, queue, parcels, s.rate)
	})
	for range s.connections * s.pipeline {
		g.Go(func() error {
			for p := range queue {
				begun := time.Now()
				answer, fault := courier.Deliver(ctx, p)
				if err := t.sent(&sum, p, answer, fault, time.Since(begun)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = errors.Join(g.Wait(), courier.Close())
	if err == nil {
		err = t.summarise(&sum)
	}
	return err
}

// feed hands the parcels out, at most rate a second if it isn't 0.
func feed(ctx context.Context, queue chan<- contracts.Parcel, parcels []contracts.Parcel, rate float64) error {
	begun := time.Now()
	for i, p := range parcels {
		if rate > 0 {
			due := time.NewTimer(time.Until(begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
			select {
			case <-due.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case queue <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// summary counts answers by their meaning, so CA counts as AA.
type summary struct {
	mu    sync.Mutex
	codes map[string]int
	times []time.Duration
}

const noAnswer = "no answer"

func (t *terminal) sent(sum *summary, p contracts.Parcel, answer contracts.Answer, fault error, took time.Duration) error {
	sum.mu.Lock()
	defer sum.mu.Unlock()
	code := noAnswer
	if len(answer.Code) == 2 {
		code = "A" + answer.Code[1:]
		sum.times = append(sum.times, took)
	}
	sum.codes[code]++
	for _, f := range contracts.FaultsOf(fault) {
		t.faults(p.Control, contracts.Faults{f})
	}
	ms := float64(took.Microseconds()) / 1000
	if t.json() {
		return t.print(map[string]any{"controlId": p.Control, "answer": answer.Code, "ms": ms})
	}
	_, err := fmt.Fprintf(t.out, "%s\t%s\t%.1f\n", p.Control, orDash(answer.Code), ms)
	return err
}

func (t *terminal) summarise(sum *summary) error {
	slices.Sort(sum.times)
	total := 0
	for _, n := range sum.codes {
		total += n
	}
	if len(sum.times) == 0 {
		t.fail(exitUnreachable)
	}
	p50, p99 := percentile(sum.times, 50), percentile(sum.times, 99)
	if t.json() {
		return t.print(map[string]any{"sent": total, "AA": sum.codes["AA"], "AE": sum.codes["AE"], "AR": sum.codes["AR"],
			"noAnswer": sum.codes[noAnswer], "p50Ms": p50, "p99Ms": p99})
	}
	_, err := fmt.Fprintf(t.out, "sent %d, AA %d, AE %d, AR %d, no answer %d, p50 %.1f ms, p99 %.1f ms\n", total, sum.codes["AA"], sum.codes["AE"],
		sum.codes["AR"], sum.codes[noAnswer], p50, p99)
	return err
}

// percentile of sorted times, in milliseconds; 0 where there are none.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[(len(sorted)-1)*p/100].Microseconds()) / 1000
}
