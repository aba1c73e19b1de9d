package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The packages, at the versions that were looked through. listPackage has message structures as lists, in which a
// segment may stand twice; namedPackage has segments and types with usage and length, which the Python one lacks;
// pythonPackage is made from HL7's XML schemas, and is the only one with 2.8, with choices, and with what was withdrawn.
const (
	listPackage   = "hl7-dictionary@1.0.1"
	namedPackage  = "hl7v2-dictionary@1.8.0"
	pythonPackage = "hl7apy==1.3.5"
)

// dumpNpm prints both npm packages as one JSON object; functions fall away.
const dumpNpm = `
import {createRequire} from 'module';
import {dictionaries} from 'hl7v2-dictionary';
const list = createRequire(process.cwd() + '/')('hl7-dictionary');
process.stdout.write(JSON.stringify({named: dictionaries, list}));
`

// dumpPython prints the Python package in the form of the schema struct. A choice of segments becomes one node with
// commas in its name, as in the npm lists. The package calls some sequences choices; real ones end in OBJECT, CHOICE or SUPPGRP.
const dumpPython = `
import importlib, json, sys

def number(table):
    return int(table[3:]) if table and table[3:].isdigit() and table != 'HL79999' else 0

def part(ref, low, high):
    if high == 0 or ref[2] in (None, 'WD'):
        return {}
    return {'type': ref[2], 'opt': 'R' if low else 'O', 'rep': max(high, 0), 'table': number(ref[4]) if len(ref) > 4 else 0}

def node(c, module, prefix):
    name, ref, (low, high), kind = c
    n = {'name': name, 'min': low, 'max': max(high, 0)}
    if kind == 'GRP':
        n['name'] = name.removeprefix(prefix)
        ref = module.GROUPS.get(name, ref)
        if ref[0] == 'choice' and name.endswith(('OBJECT', 'CHOICE', 'SUPPGRP')):
            n['name'] = ','.join(c[0] for c in ref[1])
        else:
            n['children'] = [node(c, module, prefix) for c in ref[1]]
    return n

out = {}
for version in sys.argv[1:]:
    m = importlib.import_module('hl7apy.v' + version.replace('.', '_'))
    s = out[version] = {'segments': {}, 'types': {}, 'structures': {}}
    for name, ref in m.SEGMENTS.items():
        if len(name) == 3:
            fields = ref[1] if len(ref) > 1 else ()
            s['segments'][name] = {'fields': {c[0].split('_')[-1]: part(c[1], *c[2]) for c in fields}}
    for name, ref in m.DATATYPES_STRUCTS.items():
        s['types'][name] = {'fields': {c[0].split('_')[-1]: part(c[1], *c[2]) for c in ref}}
    for name, ref in m.MESSAGES.items():
        if len(ref) > 1:
            s['structures'][name] = [node(c, m, name + '_') for c in ref[1]]
json.dump(out, sys.stdout)
`

// fetch installs the packages in a temporary folder and reads them.
func fetch() (*source, error) {
	dir, err := os.MkdirTemp("", "silta-dictionary-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	src := &source{}
	if err := fetchNpm(dir, src); err != nil {
		return nil, fmt.Errorf("read the npm packages: %w", err)
	}
	if err := fetchPython(dir, &src.Schemas); err != nil {
		return nil, fmt.Errorf("read %s: %w", pythonPackage, err)
	}
	return src, nil
}

func fetchNpm(dir string, src *source) error {
	if _, err := run(dir, nil, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, listPackage, namedPackage); err != nil {
		return err
	}
	script := filepath.Join(dir, "dump.mjs")
	if err := os.WriteFile(script, []byte(dumpNpm), 0o644); err != nil {
		return err
	}
	b, err := run(dir, nil, "node", script)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, src)
}

func fetchPython(dir string, schemas *map[string]*schema) error {
	target := filepath.Join(dir, "python")
	pip := []string{"-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", target, pythonPackage}
	if _, err := run(dir, nil, "python3", pip...); err != nil {
		return err
	}
	b, err := run(dir, []string{"PYTHONPATH=" + target}, "python3", append([]string{"-c", dumpPython}, schemaVersions...)...)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, schemas)
}

func run(dir string, env []string, name string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	return out.Bytes(), nil
}
