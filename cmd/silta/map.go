package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/mappings"
)

// catalogFlag is --mappings: where maps lie over the built-in ones.
type catalogFlag struct{ dir string }

func newMap(t *terminal) *cobra.Command {
	var flag catalogFlag
	c := &cobra.Command{
		Use:   "map COMMAND",
		Short: "List, show, check, run, test, compare and publish maps",
		Long: "Maps translate between a partner's dialect of HL7 v2 and the canonical FHIR message, in both directions. A map is named\n" +
			"ID (its newest version), ID@VERSION, or by its file. The built-in catalog comes with the binary; a mappings folder\n" +
			"adds to it.",
		Example: "  silta map run ref-i12 referral.hl7",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.PersistentFlags().StringVar(&flag.dir, "mappings", "mappings", "a folder with maps of your own, laid out as catalog/ID/VERSION/map.yaml")
	c.AddCommand(newMapList(t, &flag), newMapShow(t, &flag), newMapCheck(t, &flag), newMapRun(t, &flag), newMapTest(t, &flag), newMapDiff(t, &flag), newMapNew(t, &flag), newMapPublish(t, &flag), newMapActivate(t, &flag), newMapRollback(t), newMapActive(t))
	return c
}

// open gives the catalog. A --mappings that isn't there is wrong usage; the default folder may be missing.
func (f *catalogFlag) open(cmd *cobra.Command) (*mappings.Catalog, error) {
	if err := f.check(cmd); err != nil {
		return nil, err
	}
	return openCatalog(f.dir)
}

func (f *catalogFlag) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("mappings") {
		if info, err := os.Stat(f.dir); err != nil || !info.IsDir() {
			return usagef("--mappings %s is no folder", f.dir)
		}
	}
	return nil
}

// find gives a map by ID, ID@VERSION or file. Warnings of a file are printed.
func (f *catalogFlag) find(t *terminal, cmd *cobra.Command, name string) (*mappings.Map, error) {
	if !isFile(name) {
		catalog, err := f.open(cmd)
		if err != nil {
			return nil, err
		}
		m, err := catalog.Map(name)
		if err != nil {
			return nil, configuration{err}
		}
		return m, nil
	}
	if err := f.check(cmd); err != nil {
		return nil, err
	}
	catalog, _ := mappings.LoadSound(catalogLayers(f.dir)...) // other files needn't be done
	b, err := t.read(name)
	if err != nil {
		return nil, err
	}
	m, faults := catalog.CompileFile(name, b)
	if m == nil {
		if faults.Err() == nil {
			return nil, usagef("%s is a block; a map uses it, and can be run", name)
		}
		return nil, faults
	}
	t.faults(name, faults)
	return m, nil
}

// whichVersion is the mistake of a map named without its version, with those that there are here.
func (f *catalogFlag) whichVersion(cmd *cobra.Command, id string) error {
	var names []string
	if catalog, err := f.open(cmd); err == nil {
		for _, m := range catalog.Maps() {
			if m.ID() == id {
				names = append(names, m.Name())
			}
		}
	}
	if len(names) == 0 {
		return usagef("say which version of the map: ID@VERSION, as `silta map list` shows them")
	}
	return usagef("say which version: %s", strings.Join(names, " or "))
}

// isFile tells the name of a YAML file from an id.
func isFile(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

func newMapList(t *terminal, flag *catalogFlag) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the maps, the newest version of each first",
		Example: "  silta map list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			catalog, err := flag.open(cmd)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
			if !t.json() {
				fmt.Fprintln(w, "MAP\tSTRUCTURES\tEVENTS\tVERSIONS\tTITLE")
			}
			for _, m := range catalog.Maps() {
				versions := m.Versions()
				if t.json() {
					err = t.print(map[string]any{"id": m.ID(), "version": m.Version(), "title": m.Title("en"), "structures": m.Structures(),
						"events": m.Events(), "versions": versions, "extends": m.Extends(), "digest": m.Digest()})
				} else {
					structures, span := strings.Join(m.Structures(), " "), "R4"
					if m.FHIR() {
						structures = "FHIR"
					} else {
						span = versions[0] + ".." + versions[len(versions)-1]
					}
					_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name(), structures, strings.Join(m.Events(), " "), span, m.Title("en"))
				}
				if err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
}

func newMapCheck(t *terminal, flag *catalogFlag) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE…]",
		Short: "Check maps against HL7 v2 and FHIR R4",
		Long: "Checks map files, or the whole catalog without a file: every path, lens, code and link, against the dictionaries of all\n" +
			"HL7 versions that a map is for and against FHIR R4. Every fault comes at once, with line, column and a suggestion.",
		Example: "  silta map check mappings/catalog/apotti.ref-i12/0.1.0/map.yaml",
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) > 0 {
				return flag.checkFiles(t, cmd, files)
			}
			catalog, err := flag.open(cmd)
			if err != nil {
				return err
			}
			faults := openable(flag.dir, catalog.Check())
			if err := faults.Err(); err != nil {
				return err
			}
			t.faults("", faults)
			return t.checked(len(catalog.Maps()))
		},
	}
}

// checkFiles checks some files beside the catalog, which needn't be sound: of its other files it only says so.
func (f *catalogFlag) checkFiles(t *terminal, cmd *cobra.Command, files []string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	catalog, told := mappings.LoadSound(catalogLayers(f.dir)...)
	sound, named := 0, map[string]bool{}
	err := t.each(files, func(file string, b []byte) error {
		within := f.within(file)
		named[within] = true
		_, faults := catalog.CompileFile(file, b)
		for _, fault := range told { // only the catalog knows of folders
			if fault.File == within && !slices.ContainsFunc(faults, func(o *contracts.Fault) bool {
				return o.Code == fault.Code && o.Line == fault.Line && o.Col == fault.Col
			}) {
				own := *fault
				own.File = file
				faults = append(faults, &own)
			}
		}
		t.faults(file, faults)
		if faults.Err() == nil {
			sound++
		}
		return nil
	})
	others := map[string]bool{}
	for _, fault := range told {
		if fault.Grade == contracts.GradeError && fault.File != "" && !named[fault.File] {
			others[openableName(f.dir, fault.File)] = true
		}
	}
	if len(others) > 0 {
		fmt.Fprintf(t.err, "silta: other files of the catalog have faults: %s. `silta map check` shows them.\n", strings.Join(slices.Sorted(maps.Keys(others)), ", "))
	}
	if err != nil || t.failed != exitDone {
		return err
	}
	return t.checked(sound)
}

// within is the name that the catalog has for a file of its folder; of another it is the file's own.
func (f *catalogFlag) within(file string) string {
	rel, err := filepath.Rel(real(f.dir), real(file))
	if err != nil || !filepath.IsLocal(rel) {
		return file
	}
	return filepath.ToSlash(rel)
}

// real is a file's absolute path, through links; the path itself where that can't be said.
func real(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if linked, err := filepath.EvalSymlinks(path); err == nil {
		path = linked
	}
	return path
}

func (t *terminal) checked(maps int) error {
	if t.json() {
		return t.print(map[string]int{"maps": maps, "faults": 0})
	}
	word := "maps"
	if maps == 1 {
		word = "map"
	}
	_, err := fmt.Fprintf(t.out, "%d %s, no faults.\n", maps, word)
	return err
}

// contract gives the contract that a flag names: by its file, by its id among those in contracts/partners of the working
// directory, or of the built-in ones.
func contract(flag, name string) (*contracts.Partner, error) {
	if isFile(name) {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p, err := contracts.ReadPartner(name, b)
		if err != nil {
			return nil, configuration{err}
		}
		return p, nil
	}
	known, err := knownContracts(filepath.Join("contracts", "partners"))
	if err != nil {
		return nil, configuration{err}
	}
	return contractAmong(known, flag, name)
}

// contractAmong gives the contract of that id.
func contractAmong(known []*contracts.Partner, flag, id string) (*contracts.Partner, error) {
	var ids []string
	for _, p := range known {
		if p.ID == id {
			return p, nil
		}
		ids = append(ids, p.ID)
	}
	return nil, usagef("%s %s: there is no such contract; there are %s", flag, id, strings.Join(ids, ", "))
}
