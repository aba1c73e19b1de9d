package hus

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// In its directory HUS keeps each message as NNNNNN-KEY.json, in order of arrival, and beside it NNNNNN-KEY.answered
// once it has answered. The file's time is the time of arrival. Keys are UUIDs; another kind of key is kept in
// memory only, since it might be no file name.

// store writes a received message, whole or not at all, and takes the arrival time that the file got.
func (s *System) store(r *Received) error {
	if s.Dir == "" || !fileName(r.Key) {
		return nil
	}
	s.stored++
	r.stem = fmt.Sprintf("%06d-%s", s.stored, r.Key)
	name := filepath.Join(s.Dir, r.stem+".json")
	if err := os.WriteFile(name+".new", r.Body, 0o600); err != nil {
		return fmt.Errorf("hus: keep a message: %w", err)
	}
	if err := os.Chtimes(name+".new", r.At, r.At); err != nil {
		return fmt.Errorf("hus: keep a message: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("hus: keep a message: %w", err)
	}
	return nil
}

// restore takes up what the directory holds, and asks for the answers that are still due.
func (s *System) restore() error {
	if s.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("hus: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(s.Dir, "*.json"))
	if err != nil {
		return fmt.Errorf("hus: %w", err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("hus: take up a message: %w", err)
		}
		about, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("hus: take up a message: %w", err)
		}
		m, err := readMessage(body)
		if err != nil {
			return fmt.Errorf("hus: take up a message: %w", err)
		}
		stem := strings.TrimSuffix(filepath.Base(name), ".json")
		number, key, _ := strings.Cut(stem, "-")
		if s.stored, err = strconv.Atoi(number); err != nil {
			return fmt.Errorf("hus: a file that isn't HUS's own is in its directory: %s", filepath.Base(name))
		}
		r := received(key, m, body, about.ModTime())
		r.Times, r.stem = 1, stem
		s.remember(r)
		if _, err := os.Stat(filepath.Join(s.Dir, stem+".answered")); err != nil {
			s.ask(r)
		}
	}
	return nil
}

// markAnswered notes that a message needs no answer any more.
func (s *System) markAnswered(r Received) error {
	if r.stem == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(s.Dir, r.stem+".answered"), nil, 0o600); err != nil {
		return fmt.Errorf("hus: note an answer: %w", err)
	}
	return nil
}

// fileName says whether a key may be part of a file name: letters, digits and hyphens, at most 64.
func fileName(key string) bool {
	return len(key) <= 64 && strings.Trim(key, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}
