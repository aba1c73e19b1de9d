package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/journeys"
)

// referral is the message that begins the demo's journey.
type referral struct {
	bytes   []byte
	control string
}

// ownMessage reads the user's message, if there is one, as MLLP wants it: segments end in CR.
func (d *demo) ownMessage() (referral, error) {
	if d.message == "" {
		return referral{}, nil
	}
	b, err := d.t.read(d.message)
	if err != nil {
		return referral{}, err
	}
	if framed, ok := bytes.CutPrefix(b, []byte{0x0b}); ok {
		b, _, _ = bytes.Cut(framed, []byte{0x1c})
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\r"))
	if !bytes.ContainsRune(b, '\r') {
		b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r"))
	}
	m := referral{bytes: b, control: apotti.Field(b, "MSH", 10)}
	if m.control == "" {
		return referral{}, contracts.Faultf(contracts.Malformed, "DEMO-001", "MSH-10", "%s isn't a message with a control id; the demo sends a REF^I12.", d.message)
	}
	return m, nil
}

// ownReferral writes the demo's message under ids that this directory hasn't seen.
func (d *demo) ownReferral() (referral, error) {
	file := filepath.Join(d.dir, "demo.runs")
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return referral{}, err
	}
	run, _ := strconv.Atoi(strings.TrimSpace(string(b))) // none yet is 0
	run++
	if d.onServers() {
		run = int(time.Now().Unix()) // other directories count there, too
	}
	if err := os.RemoveAll(file + ".new"); err != nil {
		return referral{}, err
	}
	if err := writeNew(file+".new", []byte(strconv.Itoa(run)+"\n"), 0o600); err != nil {
		return referral{}, err
	}
	if err := os.Rename(file+".new", file); err != nil { // whole or not at all: a number must not come twice
		return referral{}, err
	}
	b = journeys.Referral(run, time.Now().In(d.zone))
	return referral{bytes: b, control: apotti.Field(b, "MSH", 10)}, nil
}

// telling is where the journey is told: on stdout it is the data, beside the ready line it is progress.
func (d *demo) telling() io.Writer {
	if d.serve {
		return d.t.err
	}
	return d.t.out
}

// run runs the house and the journey in it. With --serve it goes on until ctx ends.
func (d *demo) run(ctx context.Context, m referral) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.house.run(running); stop() }()
	at := d.house.addresses()
	at.Tokens, at.Dir = d.tokens, d.dir
	d.introduce(at)
	if d.hus != nil {
		d.hus.Connect(at.Doors["hus"], d.tokens["hus"])
	}
	journey := make(chan error, 1)
	go func() { journey <- d.travel(running, m, strings.TrimPrefix(at.Doors["apotti"], "mllp://")) }()
	var err error
	if d.serve {
		err = d.keepServing(running, at, journey)
	} else {
		err = <-journey
	}
	stop()
	return errors.Join(err, <-ended)
}

// readyAfter is how long the ready line waits for the journey.
const readyAfter = 2 * time.Second

// keepServing prints the ready line in time and goes on until ctx ends. A journey that fails is said at once, and
// makes the exit code.
func (d *demo) keepServing(ctx context.Context, at readiness, journey chan error) error {
	var err error
	late := time.NewTimer(readyAfter)
	defer late.Stop()
	select {
	case err = <-journey:
		journey = nil
	case <-late.C:
	}
	if ctx.Err() == nil {
		if err := d.t.print(at); err != nil {
			return err
		}
	}
	if journey != nil {
		err = <-journey
	}
	if ctx.Err() == nil {
		d.t.fail(d.t.exit(err))
	}
	<-ctx.Done()
	return nil // interrupted, perhaps before the journey was through
}

func (d *demo) introduce(at readiness) {
	if d.t.json() {
		return
	}
	fmt.Fprintf(d.teller, "A hub on this machine, in %s. Apotti speaks HL7 v2 to it at %s, HUS speaks FHIR at %s.\n"+
		"The patient is invented; the sockets, the disk and the translation are real.\n\n", d.dir, at.Doors["apotti"], at.Doors["hus"])
}

// travel sends the referral and waits until everything that belongs to it, and what an earlier run left behind, has
// arrived. Then it prints the table.
func (d *demo) travel(ctx context.Context, m referral, door string) error {
	before, err := d.leftBehind(ctx)
	if err != nil {
		return err
	}
	if m.bytes == nil {
		if m, err = d.ownReferral(); err != nil {
			return err
		}
	}
	known, err := d.known(ctx, m)
	if err != nil {
		return err
	}
	waiting, stop := context.WithTimeout(ctx, d.patience)
	defer stop()
	if err := d.send(waiting, m, door); err != nil {
		return err
	}
	if known {
		if err := d.tellAgain(ctx, m); err != nil {
			return err
		}
	}
	rows, err := d.arrive(waiting, m, before, known)
	d.mu.Lock()
	d.told = nil
	d.mu.Unlock()
	if d.serve {
		d.teller.catchUp()
	} else {
		d.teller.close() // the table comes last
	}
	if len(rows) > 0 {
		if printing := d.printTable(ctx, m, rows); err == nil {
			err = printing
		}
	}
	if err == nil && !d.t.json() {
		fmt.Fprintln(d.teller, "\nEvery message was delivered and acknowledged.")
	}
	return err
}

// leftBehind gives the messages of earlier runs that are still on their way.
func (d *demo) leftBehind(ctx context.Context) ([]contracts.ID, error) {
	var ids []contracts.ID
	for _, state := range []contracts.State{contracts.StateReceived, contracts.StateTranslated, contracts.StateSending, contracts.StateWaiting} {
		rows, err := d.house.hub.List(ctx, contracts.Filter{State: state})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) > 0 {
		d.teller.tell(tale{At: time.Now(), Text: fmt.Sprintf("%d messages of an earlier run are still on their way; they go first.", len(ids))})
	}
	return ids, nil
}

// known says whether the directory holds the message from an earlier run.
func (d *demo) known(ctx context.Context, m referral) (bool, error) {
	row, err := d.row(ctx, m)
	return row != nil, err
}

// row is the message's row in the ledger; nil as long as there is none.
func (d *demo) row(ctx context.Context, m referral) (*contracts.Row, error) {
	rows, err := d.house.hub.Find(ctx, m.control)
	if err != nil && contracts.KindOf(err) != contracts.NotFound {
		return nil, err
	}
	for _, r := range rows {
		if r.From == "apotti" && r.Control == m.control && r.State != contracts.StateRefused {
			return &r, nil
		}
	}
	return nil, nil
}

// send sends the referral as Apotti does, until it is acknowledged.
func (d *demo) send(ctx context.Context, m referral, door string) error {
	began := time.Now()
	d.teller.tell(tale{At: began, From: "apotti", Text: "Apotti sends a referral and keeps it until Silta says that it is safe.", Note: m.control})
	answer, err := apotti.Deliver(ctx, door, m.bytes)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ctx.Err()
		}
		return contracts.Faultf(contracts.Unavailable, "DEMO-002", "", "Apotti's referral got no acknowledgement in time.")
	}
	if !answer.Accepted() {
		return contracts.Faultf(contracts.Refused, "DEMO-003", "", "Silta refused the referral: %s, ERR-3 %s. `silta hl7 validate` and the contract of Apotti say what it takes.", answer.Code, answer.Error)
	}
	now := time.Now()
	d.teller.tell(tale{At: now, To: "apotti", Text: "Acknowledged: Silta has the referral on disk, Apotti may let go of it.",
		Note: fmt.Sprintf("%s, %.1f ms", answer.Code, float64(now.Sub(began).Microseconds())/1000)})
	return nil
}

// tellAgain tells what the ledger knows of a message that came in an earlier run.
func (d *demo) tellAgain(ctx context.Context, m referral) error {
	trace, err := d.house.hub.Trace(ctx, m.control)
	if err != nil {
		return err
	}
	for _, s := range trace.Steps {
		if s.At.Before(d.teller.begun) {
			if t, telling := d.step(s); telling {
				d.teller.tell(t)
			}
		}
	}
	return nil
}

func (d *demo) printTable(ctx context.Context, m referral, rows []contracts.Row) error {
	trace, err := d.house.hub.Trace(ctx, m.control)
	if err != nil {
		return err
	}
	all := crossings(rows, trace.Steps)
	if !d.t.json() {
		return writeCrossings(d.teller, all, d.teller.name)
	}
	if d.serve {
		return nil // stdout is for the ready line, and programs ask the API
	}
	return d.t.print(map[string]any{"journey": trace.Journey, "state": trace.State, "messages": all})
}
