package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/apotti"
	"github.com/hoitosilta/silta/testfixtures/hus"
)

// demoOptions are the flags of `silta demo`.
type demoOptions struct {
	dir      string
	message  string
	serve    bool
	portBase int
	partners []string
	bus      string
	ledger   string
	patience time.Duration
}

func newDemo(t *terminal) *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch a referral cross from Apotti to HUS and its answers come home",
		Long: `Starts the hub with two synthetic partners in one process and one directory, sends a referral from Apotti (HL7 v2 over
MLLP) to HUS (FHIR over HTTP), lets HUS answer (accepted, an appointment, the feedback), and tells the journey as it
happens. Everything is real but the partners and the patient: sockets, bytes, fsync, translation. The exit code is 0
only if every message was delivered and acknowledged; 3 if a partner could not be reached.

--dir keeps what happened; the same directory again takes up what lies there and sends a new referral. Without it a
directory is made, and removed after a run in which all went well. A --message that the directory knows already has
its journey told.

--serve keeps everything running after that journey until it is interrupted. One line of JSON with all addresses and
tokens goes to stdout once the journey is through, or two seconds after the doors have opened if a partner keeps it
waiting; the telling goes to stderr. HUS answers every referral that reaches it.

--partner hus=http://… delivers to a server of your own instead of the synthetic HUS. Nobody answers for it then, so
the journey is through when the referral is delivered; answers that your server posts to the hub's door are delivered
like any other. --partner apotti=mllp://… sends the answers to a listener of your own.

--port-base N takes the console's port at N, the FHIR doors' at N+1, Apotti's and HUS's own at N+2 and N+3, and the
MLLP doors from N+4 on; never more than 40.

--bus and --ledger put what happens on Apache Kafka and PostgreSQL. One demo at a time may use a server.`,
		Example: "  silta demo\n  silta demo --dir /tmp/silta --serve --port-base 9100 --partner hus=http://127.0.0.1:9999/fhir",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), t, o) },
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "", "where everything is kept; a new directory if empty")
	f.StringVar(&o.message, "message", "", "a file with your own REF^I12 instead of the demo's; - is stdin")
	f.BoolVar(&o.serve, "serve", false, "keep running after the journey")
	f.IntVar(&o.portBase, "port-base", 0, "the first of the ports that are used; free ones if 0")
	f.StringArrayVar(&o.partners, "partner", nil, "NAME=URL: where that partner's messages go instead of its synthetic one")
	f.StringVar(&o.bus, "bus", embeddedStore, "the bus: embedded, or kafka://HOST:PORT,…?development=true")
	f.StringVar(&o.ledger, "ledger", embeddedStore, "the ledger: embedded, or postgres://USER@HOST:PORT/DATABASE")
	f.DurationVar(&o.patience, "wait", 30*time.Second, "how long the journey may take")
	return c
}

// demo is one run: the house, its partners, and who tells what happens.
type demo struct {
	demoOptions
	t         *terminal
	house     *house
	apotti    *apotti.System // nil if Apotti's messages go elsewhere
	hus       *hus.System    // nil if HUS's messages go elsewhere
	tokens    map[string]string
	names     map[string]string // what people call each partner, by id
	zone      *time.Location    // Apotti's
	teller    *teller
	moved     chan struct{}     // holds one token after something has happened
	unwelcome chan hus.Sent     // answers of HUS that the hub refused
	seen      chan contracts.ID // messages that something happened to
	external  map[string]string // partners that are not synthetic, with their addresses
	touched   map[contracts.ID]bool
	temporary bool

	mu   sync.Mutex
	told map[contracts.ID]bool // deliveries (by their steps' ids) that the hub told of; nil after the journey
}

func runDemo(ctx context.Context, t *terminal, o demoOptions) (err error) {
	d := &demo{demoOptions: o, t: t, tokens: map[string]string{}, names: map[string]string{}, external: map[string]string{},
		moved: make(chan struct{}, 1), unwelcome: make(chan hus.Sent, 16), seen: make(chan contracts.ID, 4096), touched: map[contracts.ID]bool{}, told: map[contracts.ID]bool{}, zone: time.UTC}
	if err := d.checkOptions(); err != nil {
		return err
	}
	message, err := d.ownMessage()
	if err != nil {
		return err
	}
	if err := d.makeDir(); err != nil {
		return err
	}
	defer func() { err = d.tidy(err) }()
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx); err != nil {
		return err
	}
	return d.run(ctx, message)
}

func (d *demo) checkOptions() error {
	if err := (&settings{Bus: d.bus, Ledger: d.ledger, Kafka: kafkaSettings{Names: hubTopics, Partitions: 12}, Development: true}).checkServers(); err != nil {
		return err
	}
	if d.portBase < 0 || d.portBase > 65535-demoPorts {
		return usagef("--port-base is between 1 and %d", 65535-demoPorts)
	}
	for _, p := range d.partners {
		name, address, ok := strings.Cut(p, "=")
		if !ok || name == "" || address == "" {
			return usagef("--partner %q: it is written NAME=URL, as in hus=http://127.0.0.1:9999/fhir", p)
		}
		d.external[name] = address
	}
	return nil
}

// demoPorts is how many ports the demo takes at most, from --port-base on.
const demoPorts = 40

// The places of the demo's ports above --port-base.
const (
	portConsole = iota
	portFHIR
	portApotti
	portHUS
	portDoors
)

// listenAt is the address of port n above the base, or any free one without a base.
func (d *demo) listenAt(n int) string {
	if d.portBase == 0 {
		return "127.0.0.1:0"
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.portBase+n))
}

// makeDir sees to the directory and puts into it what a starting configuration has and it hasn't.
func (d *demo) makeDir() (err error) {
	if d.dir == "" {
		d.temporary = true
		if d.dir, err = os.MkdirTemp("", "silta-demo-"); err != nil {
			return err
		}
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	files, err := startingFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.path == defaultSettings("").SecretFile && d.onServers() {
			f.data = []byte(demoSecret)
		}
		if err := writeNew(filepath.Join(d.dir, f.path), f.data, f.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// onServers says that what happens is kept on a server, which other directories may use as well.
func (d *demo) onServers() bool { return d.bus != embeddedStore || d.ledger != embeddedStore }

// demoSecret stands in for the secret where directories share a server: all keys there must be made with one. Nobody's
// data is behind it.
const demoSecret = "the demo's people are invented, so this needs no secret\n"

// open starts the partners and opens the house.
func (d *demo) open(ctx context.Context) error {
	s, err := readSettings(filepath.Join(d.dir, "silta.yaml"))
	if err != nil {
		return err
	}
	s.Console.Listen, s.FHIR.Listen = d.listenAt(portConsole), d.listenAt(portFHIR)
	s.Bus, s.Ledger = d.bus, d.ledger
	s.Development, s.Log.Level = true, "error" // what goes wrong with a message is told, not logged
	agreed, err := s.readAgreements()
	if err != nil {
		return err
	}
	for _, p := range agreed.partners {
		d.names[p.ID], _, _ = strings.Cut(p.Title.EN, " ")
		if p.ID == "apotti" {
			d.zone = p.Location()
		}
	}
	d.teller = newTeller(d.telling(), d.t.json(), d.names)
	if err := d.openPartners(); err != nil {
		return err
	}
	if agreed.partners, err = d.settle(agreed.partners); err != nil {
		return err
	}
	if err := d.readTokens(s, agreed.partners); err != nil {
		return err
	}
	d.house, err = openHouse(ctx, s, agreed, newLog(s, d.t), d.watch)
	return err
}

// openPartners starts the synthetic partners that nobody stands in for.
func (d *demo) openPartners() (err error) {
	if d.external["apotti"] == "" {
		if d.apotti, err = apotti.Start(d.listenAt(portApotti), time.Now, d.seenByApotti); err != nil {
			return err
		}
	}
	if d.external["hus"] == "" {
		c := hus.Config{Listen: d.listenAt(portHUS), Dir: filepath.Join(d.dir, "hus"), Answer: true, Now: time.Now, Took: d.takenByHUS, Posted: d.postedByHUS}
		if !d.serve {
			c.Pause = 150 * time.Millisecond // so that one answer after the other can be followed
		}
		d.hus, err = hus.Start(c)
	}
	return err
}

// settle gives the contracts with the addresses of this run in them.
func (d *demo) settle(partners []*contracts.Partner) ([]*contracts.Partner, error) {
	addresses := map[string]string{}
	for name, address := range d.external {
		addresses[name] = address
		if d.names[name] == "" {
			return nil, usagef("--partner %s: no contract has that name%s", name, suggestion(name, d.names))
		}
	}
	if d.apotti != nil {
		addresses["apotti"] = "mllp://" + d.apotti.Addr()
	}
	if d.hus != nil {
		addresses["hus"] = d.hus.URL()
	}
	settled := make([]*contracts.Partner, len(partners))
	doors := portDoors
	for i, p := range partners {
		if p.Door.MLLP != nil {
			if doors >= demoPorts {
				return nil, usagef("there are more MLLP doors than the demo has ports for")
			}
			p = relocate(p, d.listenAt(doors))
			doors++
		}
		if address := addresses[p.ID]; address != "" {
			var err error
			if p, err = redirect(p, address); err != nil {
				return nil, err
			}
		}
		settled[i] = p
	}
	return settled, nil
}

func suggestion(name string, names map[string]string) string {
	var known []string
	for id := range names {
		known = append(known, id)
	}
	if near := contracts.Nearest(name, known); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// readTokens reads the tokens that visitors need: the operator's, and that of each partner with a FHIR door.
func (d *demo) readTokens(s settings, partners []*contracts.Partner) error {
	files := map[string]string{"operator": s.Console.TokenFile}
	for _, p := range partners {
		if p.Door.FHIR != nil {
			files[p.ID] = p.Door.FHIR.TokenFile
		}
	}
	for name, file := range files {
		token, err := s.secret(file)
		if err != nil {
			return err
		}
		d.tokens[name] = string(token)
	}
	return nil
}

// close ends the partners and gives everything back. The house has stopped running by then.
func (d *demo) close() (err error) {
	if d.house != nil {
		err = d.house.close()
	}
	if d.apotti != nil {
		d.apotti.Close()
	}
	if d.hus != nil {
		d.hus.Close()
	}
	if d.teller != nil {
		d.teller.close()
	}
	return err
}

// tidy removes a directory that was made for this run, unless there is something to look at in it.
func (d *demo) tidy(err error) error {
	if !d.temporary {
		return err
	}
	if err != nil && d.house != nil {
		fmt.Fprintf(d.t.err, "What happened is kept in %s\n", d.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}
