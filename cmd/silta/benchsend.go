package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/generate"
)

// dialler opens a connection of one sender.
type dialler func(context.Context) (benchLine, error)

// benchLine sends one message after another, each when the one before is acknowledged.
type benchLine interface {
	send(ctx context.Context, message []byte) error
	close()
}

// mllpLine sends as Apotti does.
type mllpLine struct{ *apotti.Line }

func dialMLLP(h *house) dialler {
	door := h.doors["apotti"].Addr().String()
	return func(ctx context.Context) (benchLine, error) {
		line, err := apotti.Dial(ctx, door)
		return mllpLine{line}, err
	}
}

func (l mllpLine) send(ctx context.Context, message []byte) error {
	answer, err := l.Send(ctx, message)
	if err == nil && !answer.Accepted() {
		err = contracts.Faultf(contracts.Refused, "BENCH-001", "", "The hub refused a made-up message: %s %s.", answer.Code, answer.Error)
	}
	return err
}

func (l mllpLine) close() { l.Close() }

// feeder is the contract of a sender that speaks the canonical form, as the receiver does: no map is on its way.
const feeder = `silta: partner/v1
id: feeder
title: {en: Feeder, fi: Syöttäjä, sv: Matare}
dialect: {format: fhir, version: 4.0.1}
door: {fhir: {tokenFile: secrets/feeder.token}}
routes:
  - {events: ["*"], to: [hus]}
`

func addFeeder(dir string) error {
	if err := writeNew(filepath.Join(dir, "contracts/partners/feeder.yaml"), []byte(feeder), 0o644); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, "secrets/feeder.token"), newSecret(), 0o600)
}

// fhirLine posts to the hub's FHIR door over a connection of its own.
type fhirLine struct {
	client http.Client
	url    string
	token  string
}

func dialFeeder(h *house) (dialler, error) {
	token, err := os.ReadFile(filepath.Join(filepath.Dir(h.dir), "secrets/feeder.token"))
	if err != nil {
		return nil, err
	}
	return func(context.Context) (benchLine, error) {
		return &fhirLine{http.Client{Transport: &http.Transport{}}, h.addresses().Doors["feeder"] + "/$process-message", strings.TrimSpace(string(token))}, nil
	}, nil
}

func (l *fhirLine) send(ctx context.Context, message []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(message))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/fhir+json")
	request.Header.Set("Authorization", "Bearer "+l.token)
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return contracts.Faultf(contracts.Refused, "BENCH-001", "", "The hub refused a made-up message: HTTP %d.", response.StatusCode)
	}
	return nil
}

func (l *fhirLine) close() { l.client.CloseIdleConnections() }

// canonical replaces made-up referrals by their canonical form.
func canonical(h *house, messages []generate.Message) error {
	m, err := h.agreed.maps.Map("ref-i12")
	if err != nil {
		return err
	}
	for i := range messages {
		if messages[i].Bytes = forward(m, messages[i].Bytes); messages[i].Bytes == nil {
			return contracts.Faultf(contracts.Invalid, "BENCH-002", "", "The map %s doesn't take a made-up referral.", m.Name())
		}
	}
	return nil
}
