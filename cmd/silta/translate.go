package main

import (
	"bytes"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/hub"
)

// offlineSecret keys the digests that ids are made of where no installation's configuration is named.
var offlineSecret = []byte("silta translate without a configuration")

// translation is one call of `silta translate`.
type translation struct {
	t         *terminal
	catalog   catalogFlag
	config    string
	from, to  string
	origin    string
	now       string
	canonical bool

	offline  *hub.Offline
	sender   *contracts.Partner
	receiver *contracts.Partner
	request  *contracts.Arrival
}

func newTranslate(t *terminal) *cobra.Command {
	tr := &translation{t: t}
	c := &cobra.Command{
		Use:   "translate FILE…",
		Short: "Translate from one partner to another, as the hub does",
		Long: "Prints exactly what the hub would deliver to one partner for messages of another, offline: from the sender's dialect\n" +
			"to the canonical form, and from that to the receiver's. HL7 v2 ends in CR, a Bundle stands on a line. A message that\n" +
			"the door would refuse or that would park is a fault, and the exit code is 1.\n" +
			"With -c it takes the contracts, maps and secret of an installation, so that control ids and Bundle ids are those of its\n" +
			"hub; --now is then when the hub received the message.",
		Example: "  silta translate --from apotti --to hus referral.hl7 | silta fhir validate -\n" +
			"  silta translate --from hus --to apotti --origin referral.hl7 answer.json",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := tr.prepare(cmd); err != nil {
				return err
			}
			return t.each(files, tr.translate)
		},
	}
	c.Flags().StringVar(&tr.from, "from", "", "the partner that sent the messages, or its contract's file")
	c.Flags().StringVar(&tr.to, "to", "", "the partner that would get them, or its contract's file")
	c.Flags().BoolVar(&tr.canonical, "canonical", false, "print the canonical form in the middle instead; --to isn't needed then")
	c.Flags().StringVar(&tr.origin, "origin", "", "what an answer answers: the request as --to sent it, or its canonical Bundle")
	c.Flags().StringVar(&tr.now, "now", "", "the time of the run (RFC 3339), instead of the clock's")
	c.Flags().StringVarP(&tr.config, "config", "c", "", "an installation's silta.yaml, whose contracts, maps and secret hold")
	c.Flags().StringVar(&tr.catalog.dir, "mappings", "mappings", "a folder with maps of your own, without -c")
	return c
}

func (tr *translation) prepare(cmd *cobra.Command) error {
	if tr.from == "" || tr.to == "" && !tr.canonical {
		return usagef("say between whom: --from PARTNER --to PARTNER")
	}
	if _, err := tr.t.hl7Options(); err != nil {
		return err
	}
	now, err := moment(tr.now)
	if err != nil {
		return err
	}
	c := hub.Config{Now: func() time.Time { return now }}
	if tr.config == "" {
		err = tr.bare(cmd, &c)
	} else {
		err = tr.installed(cmd, &c)
	}
	if err != nil {
		return err
	}
	if tr.offline, err = hub.NewOffline(c); err != nil {
		return configuration{err}
	}
	if tr.origin == "" {
		return nil
	}
	return tr.readRequest()
}

// bare takes the contracts of the working directory, or the built-in ones, and the maps of --mappings.
func (tr *translation) bare(cmd *cobra.Command, c *hub.Config) (err error) {
	if c.Secret, err = contracts.NewSecret(offlineSecret); err != nil {
		return err
	}
	if c.Maps, err = tr.catalog.open(cmd); err != nil {
		return err
	}
	if tr.sender, err = contract("--from", tr.from); err != nil {
		return err
	}
	c.Partners = []*contracts.Partner{tr.reading(tr.sender)}
	if tr.to == "" {
		return nil
	}
	if tr.receiver, err = contract("--to", tr.to); err == nil && tr.receiver.ID != tr.sender.ID {
		c.Partners = append(c.Partners, tr.receiver)
	}
	return err
}

// reading is a contract as --charset has its messages read.
func (tr *translation) reading(p *contracts.Partner) *contracts.Partner {
	if tr.t.charset == "" {
		return p
	}
	read := *p
	read.Dialect.Charset = tr.t.charset
	return &read
}

// installed takes all that an installation has agreed with its partners.
func (tr *translation) installed(cmd *cobra.Command, c *hub.Config) error {
	if cmd.Flags().Changed("mappings") || tr.t.charset != "" {
		return usagef("with -c the installation's maps and contracts hold: leave --mappings and --charset out")
	}
	s, err := readSettings(tr.config)
	if err != nil {
		return err
	}
	a, err := s.readAgreements()
	if err != nil {
		return err
	}
	key, err := s.secret(s.SecretFile)
	if err != nil {
		return err
	}
	if c.Secret, err = contracts.NewSecret(key); err != nil {
		return configuration{err}
	}
	c.Partners, c.Maps, c.Profiles = a.partners, a.maps, a.profiles
	if tr.sender, err = contractAmong(a.partners, "--from", tr.from); err != nil || tr.to == "" {
		return err
	}
	tr.receiver, err = contractAmong(a.partners, "--to", tr.to)
	return err
}

// readRequest reads --origin: a message of the receiver, in its own format or in the canonical form.
func (tr *translation) readRequest() error {
	if tr.receiver == nil {
		return usagef("--origin is for what goes --to a partner")
	}
	b, err := tr.t.read(tr.origin)
	if err != nil {
		return err
	}
	a := contracts.Arrival{Partner: tr.receiver.ID, Format: contracts.FormatV2, Body: contracts.NewBody(b)}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		a.Format = contracts.FormatFHIR
	} else if m, part, err := tr.t.single(tr.origin, b); m == nil {
		return err
	} else {
		a.Body = contracts.NewBody(part.Bytes)
	}
	tr.request = &a
	return nil
}

// translate prints what becomes of each message of a file. One that becomes nothing doesn't keep the others.
func (tr *translation) translate(file string, b []byte) error {
	if tr.sender.Dialect.Format == contracts.FormatFHIR {
		return tr.one(file, b)
	}
	parts, faults := hl7v2.Split(b)
	if len(parts) == 0 && len(faults) == 0 {
		faults = contracts.Faults{contracts.Faultf(contracts.Malformed, hl7v2.CodeNoMessage, "", "The file holds no message.")}
	}
	for i, part := range parts {
		tr.t.numbered = func(faults contracts.Faults) contracts.Faults { return ofMessage(faults, i, len(parts)) }
		err := tr.one(file, part.Bytes)
		tr.t.numbered = nil
		if err != nil {
			return err
		}
	}
	tr.t.faults(file, faults)
	return nil
}

func (tr *translation) one(file string, b []byte) error {
	a := contracts.Arrival{Partner: tr.sender.ID, Format: tr.sender.Dialect.Format, Body: contracts.NewBody(b)}
	var body contracts.Body
	var findings contracts.Faults
	var err error
	if tr.canonical {
		body, findings, err = tr.offline.Canonical(a)
	} else {
		body, findings, err = tr.offline.Outgoing(a, tr.receiver.ID, tr.request)
	}
	tr.t.faults(file, append(findings, contracts.FaultsOf(err)...))
	if err != nil {
		return nil
	}
	out := body.Bytes()
	if tr.canonical || tr.receiver.Dialect.Format == contracts.FormatFHIR {
		out = append(out, '\n')
	}
	_, err = tr.t.out.Write(out)
	return err
}
