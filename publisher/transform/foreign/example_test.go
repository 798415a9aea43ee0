package foreign_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	transformv1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/transform/v1"
)

// route is a transform that sends the records of each database to topics with a prefix of its own.
type route struct {
	transformv1.UnimplementedTransformServiceServer
}

// Describe implements TransformServiceServer.
func (route) Describe(_ context.Context, q *transformv1.DescribeRequest) (*transformv1.DescribeResponse, error) {
	return &transformv1.DescribeResponse{Contract: 1, Name: "route", Version: "1.0"}, nil
}

// Transform implements TransformServiceServer. Key and value stay as they are, so they need not travel back.
func (route) Transform(_ context.Context, q *transformv1.TransformRequest) (*transformv1.TransformResponse, error) {
	a := &transformv1.TransformResponse{}
	for _, r := range q.Records {
		out := &transformv1.Record{Topic: q.Options["prefix"] + strings.TrimPrefix(r.Topic, "srv."), Headers: r.Headers}
		if r.Key != nil {
			out.Key = &transformv1.Data{Same: true}
		}
		if r.Value != nil {
			out.Value = &transformv1.Data{Same: true}
		}
		a.Results = append(a.Results, &transformv1.Result{Outcome: &transformv1.Result_Record{Record: out}})
	}
	return a, nil
}

// A transform in Go: a connector names its server by
//
//	"transforms.r.type": "rowmesh.transforms.Foreign",
//	"transforms.r.address": "host:port",
//	"transforms.r.options.prefix": "eu."
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := grpc.NewServer()
	transformv1.RegisterTransformServiceServer(srv, route{})
	go srv.Serve(l)
	defer srv.Stop()

	// What a publisher asks.
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	a, err := transformv1.NewTransformServiceClient(conn).Transform(context.Background(), &transformv1.TransformRequest{
		Contract: 1, Connector: "inventory", Options: map[string]string{"prefix": "eu."},
		Schemas: []*transformv1.Schema{{Id: 1, Json: []byte(`{"type":"int32","optional":false}`)}},
		Records: []*transformv1.Record{{Topic: "srv.db.t", Value: &transformv1.Data{Schema: 1, Json: []byte("5")}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Results[0].GetRecord().Topic, a.Results[0].GetRecord().Value.Same)
	// Output: eu.db.t true
}
