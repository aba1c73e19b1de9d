package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/mappings"
)

func newMapTest(t *terminal, flag *catalogFlag) *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "test [MAP…]",
		Short: "Run the cases beside maps, and the laws",
		Long: "Runs the cases that lie beside each map (all maps without a name), and on each input the laws of the mapping language:\n" +
			"the way back gives the message that came in, back and forth again the same Bundle, a change in FHIR changes what its\n" +
			"rules write and nothing else, the same input gives the same bytes, results are valid FHIR. What differs is on stderr,\n" +
			"and the exit code is then 1. A map without a case is a fault too. -v also gives the values that\n" +
			"a case wants and gets, and names the alternatives of `first` and the rows of tables that no case passes through.",
		Example: "  silta map test ref-i12 -v",
		RunE: func(cmd *cobra.Command, names []string) error {
			maps, err := flag.named(t, cmd, names)
			if err != nil {
				return err
			}
			for _, m := range maps {
				if err := t.mapTested(m, verbose); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "a line for each case; in JSON also the rules that wrote something")
	return c
}

// testable is a map with the means to run its cases.
type testable struct {
	*mappings.Map
	base *mappings.Map // what it extends, nil where it stands alone
	test func() ([]mappings.CaseReport, error)
}

// named gives the maps of these names, or all of the catalog.
func (f *catalogFlag) named(t *terminal, cmd *cobra.Command, names []string) ([]testable, error) {
	var maps []testable
	if len(names) == 0 {
		catalog, err := f.open(cmd)
		if err != nil {
			return nil, err
		}
		for _, m := range catalog.Maps() {
			maps = append(maps, testable{m, f.base(m), func() ([]mappings.CaseReport, error) { return f.test(m) }})
		}
		return maps, nil
	}
	for _, name := range names {
		m, err := f.find(t, cmd, name)
		if err != nil {
			return nil, err
		}
		test := func() ([]mappings.CaseReport, error) { return f.test(m) }
		if isFile(name) {
			test = func() ([]mappings.CaseReport, error) { return casesBeside(m, name) }
		}
		maps = append(maps, testable{m, f.base(m), test})
	}
	return maps, nil
}

// base gives the map that a map extends, nil where it stands alone.
func (f *catalogFlag) base(m *mappings.Map) *mappings.Map {
	if m.Extends() == "" {
		return nil
	}
	catalog, _ := mappings.LoadSound(catalogLayers(f.dir)...)
	base, err := catalog.Map(m.Extends())
	if err != nil {
		return nil
	}
	return base
}

// test runs the cases of a map of the catalog.
func (f *catalogFlag) test(m *mappings.Map) ([]mappings.CaseReport, error) {
	reports, err := m.Test()
	if err != nil {
		return nil, openable(f.dir, contracts.FaultsOf(err))
	}
	for i := range reports {
		r := &reports[i]
		r.File, r.Faults = openableName(f.dir, r.File), openable(f.dir, r.Faults)
	}
	return reports, nil
}

// casesBeside runs the cases in the folder of a map's own file, which needn't be in a catalog.
func casesBeside(m *mappings.Map, file string) ([]mappings.CaseReport, error) {
	dir := filepath.Dir(file)
	files, err := filepath.Glob(filepath.Join(dir, "cases", "*.txtar"))
	if err != nil || len(files) == 0 {
		return nil, contracts.Faultf(contracts.Invalid, mappings.CodeNoCases, filepath.Join(dir, "cases"), "The map %s has no cases beside it.", m.Name())
	}
	var reports []mappings.CaseReport
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		reports = append(reports, m.TestCase(file, data))
	}
	return reports, nil
}

// mapTested runs one map's cases and tells how they ended.
func (t *terminal) mapTested(m testable, verbose bool) error {
	reports, err := m.test()
	if err != nil {
		t.faults("", contracts.FaultsOf(err))
		return nil
	}
	passed := 0
	var leaves mappings.Leaves
	for i := range reports {
		r := &reports[i]
		leaves.Add(r.Leaves)
		t.faults(r.File, r.Faults)
		if r.Passed() {
			passed++
		} else {
			t.fail(exitFaulty)
		}
		if err := t.caseReport(r, verbose); err != nil {
			return err
		}
	}
	untested, inherited := m.Untested(reports, m.base)
	if t.json() {
		if verbose {
			return t.print(map[string]any{"map": m.Name(), "untested": append([]string{}, untested...), "untestedInherited": inherited, "leaves": leaves})
		}
		return nil
	}
	if verbose {
		for _, way := range untested {
			if _, err := fmt.Fprintf(t.out, "no case passes through %s\n", way); err != nil {
				return err
			}
		}
		if inherited > 0 {
			if _, err := fmt.Fprintf(t.out, "no case passes through %d more, of what %s stands on\n", inherited, m.Name()); err != nil {
				return err
			}
		}
	}
	if leaves.All > 0 {
		if _, err := fmt.Fprintf(t.out, "%s: of the populated leaves rules read %s, %s are ignored.\n", m.Name(), percent(leaves.Rules, leaves), percent(leaves.Ignored, leaves)); err != nil {
			return err
		}
	}
	word := "cases pass"
	if len(reports) == 1 {
		word = "case passes"
	}
	_, err = fmt.Fprintf(t.out, "%s: %d of %d %s.\n", m.Name(), passed, len(reports), word)
	return err
}

func percent(n int, of mappings.Leaves) string {
	return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(of.All))
}

func (t *terminal) caseReport(r *mappings.CaseReport, verbose bool) error {
	if t.json() {
		faults := r.Faults
		if faults == nil {
			faults = contracts.Faults{}
		}
		report := map[string]any{"map": r.Map, "case": r.File, "title": r.Title, "passed": r.Passed(), "faults": faults}
		if verbose {
			report["rules"] = r.Rules
		}
		return t.print(report)
	}
	if !verbose {
		return nil
	}
	word := "ok    "
	if !r.Passed() {
		word = "FAILS "
	}
	if _, err := fmt.Fprintf(t.out, "%s%s: %s\n", word, strings.TrimSuffix(filepath.Base(r.File), ".txtar"), r.Title); err != nil {
		return err
	}
	for _, line := range r.Compared {
		if _, err := fmt.Fprintf(t.out, "      %s\n", line); err != nil {
			return err
		}
	}
	return nil
}
