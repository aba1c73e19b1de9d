//go:build kafka

package busconformance_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/testfixtures/kafka"
)

// Another client than ours reads what we write, and writes what we read, headers intact: here as a partner's data
// platform would, by CloudEvents alone.
func anotherClient(t *testing.T, cluster *kafka.Cluster) {
	const topic = "silta.test.interop"
	c := config(cluster, "silta.interop.")
	c.Partitions = 1
	b := openKafka(t, c, topic)
	ours := contracts.Record{Topic: topic, Key: "00ff", ID: contracts.DerivedID("interop", "1"), Time: time.Date(2026, 3, 2, 8, 0, 0, 123456000, time.UTC),
		Header: map[string]string{contracts.HeaderType: "REF^I12", contracts.HeaderFormat: contracts.FormatV2, contracts.HeaderPartner: "apotti"},
		Body:   contracts.NewBody([]byte("MSH|^~\\&|\xff\r"))}
	if _, err := b.Publish(t.Context(), ours, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reader := kafkago.NewReader(kafkago.ReaderConfig{Brokers: cluster.Addresses(), Topic: topic})
	defer reader.Close()
	read, err := reader.ReadMessage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{}
	for _, h := range read.Headers {
		headers[h.Key] = string(h.Value)
	}
	want := map[string]string{"ce_specversion": "1.0", "ce_id": string(ours.ID), "ce_source": "/silta/" + topic, "ce_type": "REF^I12",
		"ce_time": "2026-03-02T08:00:00.123456Z", "ce_partitionkey": "00ff", "ce_envelope": "0100000000", "content-type": "application/hl7-v2",
		"ce_format": "hl7v2", "ce_partner": "apotti"}
	if diff := cmp.Diff(want, headers); diff != "" {
		t.Errorf("it reads other headers (-want +got):\n%s", diff)
	}
	if string(read.Key) != "00ff" || string(read.Value) != string(ours.Body.Bytes()) || read.Time.UnixMilli() != ours.Time.UnixMilli() {
		t.Error("it reads another key, value or time")
	}

	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafkago.Writer{Transport: transport, Addr: kafkago.TCP(cluster.Addresses()...), Topic: topic, RequiredAcks: kafkago.RequireAll, Balancer: kafkago.Murmur2Balancer{}, BatchSize: 1}
	defer writer.Close()
	theirs := contracts.Record{Topic: topic, Key: "00fe", ID: contracts.DerivedID("interop", "2"), Time: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
		Header: map[string]string{contracts.HeaderType: "RRI^I12", contracts.HeaderTrace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		Body:   contracts.NewBody([]byte("MSH|")), Place: contracts.Place{Topic: topic, Offset: 1}}
	message := kafkago.Message{Key: []byte(theirs.Key), Value: theirs.Body.Bytes(), Time: theirs.Time, Headers: []kafkago.Header{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(theirs.ID)}, {Key: "ce_source", Value: []byte("/platform")},
		{Key: "ce_type", Value: []byte("RRI^I12")}, {Key: "ce_traceparent", Value: []byte(theirs.Header[contracts.HeaderTrace])},
		{Key: "content-type", Value: []byte("application/hl7-v2")}}}
	if err := writer.WriteMessages(ctx, message); err != nil {
		t.Fatal(err)
	}
	got := make(chan contracts.Record, 2)
	stop := consume(t, b, topic, func(_ context.Context, r contracts.Record) error {
		got <- r
		return nil
	})
	for range 2 {
		if r := await(t, got); r.Key == theirs.Key {
			if diff := cmp.Diff(theirs, r); diff != "" {
				t.Errorf("what it wrote is read otherwise (-want +got):\n%s", diff)
			}
		}
	}
	stop()
}
