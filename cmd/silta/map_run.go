package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
	"github.com/hoitosilta/silta/contracts/partners"
	"github.com/hoitosilta/silta/mappings"
)

// mapRun is one call of `silta map run`.
type mapRun struct {
	t        *terminal
	m        *mappings.Map
	context  mappings.Context
	options  []hl7v2.Option
	reverse  bool
	explain  bool
	out      string
	contract string
	now      string
	origin   string
}

func newMapRun(t *terminal, flag *catalogFlag) *cobra.Command {
	r := &mapRun{t: t}
	c := &cobra.Command{
		Use:   "run MAP FILE…",
		Short: "Translate messages with a map",
		Long: "Translates HL7 v2 messages to canonical FHIR Bundles, a line each; with --reverse, Bundles to HL7 v2. With a map whose\n" +
			"dialect is FHIR both ways read and write JSON, a resource a file. What a direction\n" +
			"can't carry is a finding on stderr. A fault that would park the message makes the exit code 1. What no rule of the map\n" +
			"carries is kept in the Bundle, unless the map says `preserve: none`, and comes back with --reverse.",
		Example: "  silta map run ref-i12 referral.hl7 | silta fhir validate -\n" +
			"  silta map run ref-i12 referral.hl7 --explain | grep PID-3",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.prepare(); err != nil {
				return err
			}
			m, err := flag.find(t, cmd, args[0])
			if err != nil {
				return err
			}
			r.m = m
			if r.origin != "" {
				catalog, err := flag.open(cmd)
				if err != nil {
					return err
				}
				if r.context.Origin, err = r.request(catalog); err != nil {
					return err
				}
			}
			if r.reverse {
				return t.each(args[1:], r.back)
			}
			return t.each(args[1:], r.forward)
		},
	}
	c.Flags().BoolVar(&r.reverse, "reverse", false, "from the canonical FHIR to the map's dialect")
	c.Flags().BoolVar(&r.explain, "explain", false, "print where each value came from instead: a JSON line each, then what was not read")
	c.Flags().StringVar(&r.out, "out", "", "write each result into this folder instead of stdout")
	c.Flags().StringVar(&r.contract, "contract", "", "the partner whose zone, version and character set hold")
	c.Flags().StringVar(&r.now, "now", "", "the time of the run (RFC 3339), instead of the clock's")
	c.Flags().StringVar(&r.origin, "origin", "", "with --reverse, the request that is answered: HL7 v2, or its canonical Bundle")
	return c
}

func (r *mapRun) prepare() (err error) {
	r.context.Residue = true
	if r.context.Now, err = moment(r.now); err != nil {
		return err
	}
	if r.contract != "" {
		p, err := contract("--contract", r.contract)
		if err != nil {
			return err
		}
		r.context.Zone, r.context.Version, r.context.Charset = p.Location(), p.Dialect.Version, p.Dialect.Charset
		r.context.Sender, r.context.Application = p.ID, p.Dialect.Names.Application
		if p.Dialect.Format != contracts.FormatV2 {
			r.context.Version, r.context.Charset = "", ""
		}
		if r.t.charset == "" {
			r.t.charset = r.context.Charset
		}
	}
	if r.out != "" {
		if err := os.MkdirAll(r.out, 0o700); err != nil {
			return err
		}
	}
	r.options, err = r.t.hl7Options()
	return err
}

// forward translates every message of a file.
func (r *mapRun) forward(file string, b []byte) error {
	if r.m.FHIR() {
		return r.forwardFHIR(file, b)
	}
	parts, faults := hl7v2.Split(b)
	if len(parts) == 0 && len(faults) == 0 {
		faults = contracts.Faults{contracts.Faultf(contracts.Malformed, hl7v2.CodeNoMessage, "", "The file holds no message.")}
	}
	r.t.faults(file, faults)
	for i, part := range parts {
		m, err := hl7v2.Parse(part.Bytes, r.options...)
		if err != nil {
			r.t.faults(file, contracts.FaultsOf(err))
			continue
		}
		r.t.faults(file, m.Warnings())
		result, err := r.m.Forward(m, r.context)
		if err != nil {
			r.t.faults(file, contracts.FaultsOf(err))
			continue
		}
		if err := r.write(file, ".json", i, result, append(result.Bundle.Append(nil), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// forwardFHIR translates the resource of a file.
func (r *mapRun) forwardFHIR(file string, b []byte) error {
	tree, err := fhir.Parse(b)
	if err != nil {
		r.t.faults(file, contracts.FaultsOf(err))
		return nil
	}
	result, err := r.m.ForwardFHIR(tree, r.context)
	if err != nil {
		r.t.faults(file, contracts.FaultsOf(err))
		return nil
	}
	return r.write(file, ".json", 0, result, append(result.Bundle.Append(nil), '\n'))
}

// back translates the Bundle of a file.
func (r *mapRun) back(file string, b []byte) error {
	tree, err := fhir.Parse(b)
	if err != nil {
		r.t.faults(file, contracts.FaultsOf(err))
		return nil
	}
	result, err := r.m.Reverse(tree, r.context)
	if err != nil {
		r.t.faults(file, contracts.FaultsOf(err))
		return nil
	}
	if r.m.FHIR() {
		return r.write(file, ".json", 0, result, append(result.Bytes(), '\n'))
	}
	return r.write(file, ".hl7", 0, result, result.Bytes())
}

// request reads what an answer answers. HL7 v2 goes through the first map of the catalog that takes its type.
func (r *mapRun) request(catalog *mappings.Catalog) (*mappings.Origin, error) {
	b, err := r.t.read(r.origin)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		tree, err := fhir.Parse(b)
		if err != nil {
			return nil, err
		}
		header := tree.Root().Get("entry").At(0).Get("resource")
		return &mappings.Origin{Bundle: tree, Application: header.Get("source").Get("name").Text(), Facility: header.Get("sender").Get("display").Text(),
			ControlID: tree.Root().Get("identifier").Get("value").Text()}, nil
	}
	request, err := hl7v2.Parse(b, r.options...)
	if err != nil {
		return nil, err
	}
	for _, m := range catalog.Maps() {
		if !m.FHIR() && strings.HasPrefix(m.Structures()[0], request.Code()+"_") && slices.Contains(m.Events(), request.Event()) {
			result, err := m.Forward(request, r.context)
			if err != nil {
				return nil, err
			}
			head := request.Header()
			return &mappings.Origin{Bundle: result.Bundle, Application: head.SendingApplication(), Facility: head.SendingFacility(), ControlID: request.ControlID()}, nil
		}
	}
	return nil, usagef("--origin %s: no map takes %s", r.origin, request.Type())
}

// write gives one result: n counts the results of a file from 0.
func (r *mapRun) write(file, ending string, n int, result *mappings.Result, data []byte) error {
	r.t.faults(file, result.Findings)
	if r.explain {
		return r.t.explain(result)
	}
	if r.out == "" {
		_, err := r.t.out.Write(data)
		return err
	}
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if file == "-" {
		name = "stdin"
	}
	if n > 0 {
		name += "-" + strconv.Itoa(n+1)
	}
	path := filepath.Join(r.out, name+ending)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	_, err := fmt.Fprintln(r.t.out, path)
	return err
}

// explain prints the lineage of a result: a JSON line for each written leaf, and a last one for what was not read.
func (t *terminal) explain(result *mappings.Result) error {
	for _, line := range result.Lines() {
		if err := t.print(line); err != nil {
			return err
		}
	}
	unread := result.Unread
	if unread == nil {
		unread = []string{}
	}
	last := struct {
		Unread   []string `json:"unread"`
		Coverage float64  `json:"coverage"`
		*mappings.Leaves
	}{Unread: unread, Coverage: result.Coverage}
	if result.Leaves.All > 0 {
		last.Leaves = &result.Leaves
	}
	return t.print(last)
}

// knownContracts gives the contracts of a folder, or the built-in ones if it isn't there.
func knownContracts(dir string) ([]*contracts.Partner, error) {
	var from fs.FS = partners.Files
	if found, err := filepath.Glob(filepath.Join(dir, "*.yaml")); err == nil && len(found) > 0 {
		from = os.DirFS(dir)
	}
	return contracts.LoadPartners(from, ".")
}
