package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoitosilta/silta/contracts"
)

// client talks to a running hub's API.
type client struct {
	url   string
	token string
	http  http.Client
}

// maxAnswer is how many bytes of an answer are read: the largest body that a door takes, and room.
const maxAnswer = 256 << 20

// flags adds --url and --token, with SILTA_URL and SILTA_TOKEN behind them.
func (c *client) flags(cmd *cobra.Command) {
	address := os.Getenv("SILTA_URL")
	if address == "" {
		address = "http://127.0.0.1:8080"
	}
	cmd.Flags().StringVar(&c.url, "url", address, "the running hub's address; SILTA_URL")
	cmd.Flags().StringVar(&c.token, "token", "", "the operators' token; SILTA_TOKEN")
	c.http.Timeout = time.Minute
}

// call asks the API. ask and answer are JSON; either may be nil. A hub that can't be reached is a fault of kind
// unavailable, a problem is the fault that it tells of.
func (c *client) call(ctx context.Context, method, path string, query url.Values, ask, answer any) error {
	body, err := c.raw(ctx, method, path, query, nil, ask)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return &contracts.Fault{Kind: contracts.Unavailable, Code: "CLI-002", Public: "What answers at " + c.url + " isn't Silta's API.", Err: err}
	}
	return nil
}

func (c *client) raw(ctx context.Context, method, path string, query url.Values, header http.Header, ask any) ([]byte, error) {
	request, err := c.request(ctx, method, path, query, ask)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, &contracts.Fault{Kind: contracts.Unavailable, Code: "CLI-001", Public: "The answer of the hub at " + c.url + " broke off.", Err: err}
	}
	if response.StatusCode >= 300 {
		return nil, problemOf(response, body)
	}
	return body, nil
}

// each asks the API for an answer of many lines and hands every line to work as it comes; there may be hours between
// the first and the last. An answer that breaks off is a fault.
func (c *client) each(ctx context.Context, path string, ask any, work func(line []byte) error) error {
	request, err := c.request(ctx, "POST", path, nil, ask)
	if err != nil {
		return err
	}
	patient := http.Client{Transport: c.http.Transport}
	response, err := patient.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return c.unreachable(err)
		}
		return problemOf(response, body)
	}
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return &contracts.Fault{Kind: contracts.Unavailable, Code: "CLI-001", Public: "The answer of the hub at " + c.url + " broke off; what it said until then is done.", Err: err}
		}
		if err := work(line); err != nil {
			return err
		}
	}
}

func (c *client) unreachable(err error) error {
	return &contracts.Fault{Kind: contracts.Unavailable, Code: "CLI-001", Public: "The hub at " + c.url + " can't be reached. Is it running? --url or SILTA_URL names another address.", Err: err}
}

func (c *client) request(ctx context.Context, method, path string, query url.Values, ask any) (*http.Request, error) {
	address := strings.TrimSuffix(c.url, "/") + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var body io.Reader
	if ask != nil {
		b, err := json.Marshal(ask)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, usagef("--url %s is no address", c.url)
	}
	token := c.token
	if token == "" {
		token = os.Getenv("SILTA_TOKEN")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if ask != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// problemOf gives the fault that an answer tells of. A wrong token is a matter of configuration.
func problemOf(response *http.Response, body []byte) error {
	var p struct {
		Detail string           `json:"detail"`
		Kind   contracts.Kind   `json:"kind"`
		Code   string           `json:"code"`
		At     string           `json:"at"`
		Faults contracts.Faults `json:"faults"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Kind == "" {
		return &contracts.Fault{Kind: contracts.Unavailable, Code: "CLI-002", Public: fmt.Sprintf("What answers there isn't Silta's API (HTTP status %d).", response.StatusCode), Err: errors.Join(err)}
	}
	if len(p.Faults) > 0 {
		return p.Faults
	}
	fault := &contracts.Fault{Kind: p.Kind, Code: p.Code, At: p.At, Public: p.Detail}
	if response.StatusCode == http.StatusUnauthorized {
		fault.Public += " --token or SILTA_TOKEN gives it."
		return configuration{fault}
	}
	return fault
}
