package capture_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	capturev1 "github.com/rowmesh/rowmesh/proto/gen/rowmesh/capture/v1"
	"github.com/rowmesh/rowmesh/services/capture"
	"github.com/rowmesh/rowmesh/services/row"
)

// A program that prints the integer keys of all changes of a table, from now on.
func Example() {
	pool := capture.NewPool()
	conn, err := grpc.NewClient("capturer:7411", append(capture.DialOptions(pool), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := capture.NewClient(conn).Subscribe(context.Background(), &capturev1.Open{
		Consumer: "printer", Source: "mysql:3306",
		Tables: &capturev1.TableFilter{IncludeTables: []string{`shop\.orders`}},
		Start:  &capturev1.Start{At: &capturev1.Start_Latest{Latest: true}},
	})
	if err != nil {
		log.Fatal(err)
	}
	layouts := make(map[uint32]*row.Layout)
	cells := make(map[uint32][]row.Cell)
	for {
		m, err := stream.Recv()
		if err != nil {
			log.Fatal(err) // open again with the last token
		}
		switch m := m.Message.(type) {
		case *capturev1.SubscribeResponse_Schema:
			layouts[m.Schema.SchemaId] = row.NewLayout(m.Schema.Columns)
			cells[m.Schema.SchemaId] = make([]row.Cell, len(m.Schema.Columns))
		case *capturev1.SubscribeResponse_Batch:
			payload := m.Batch.Payload
			for g, schema := range m.Batch.GroupSchema {
				op := row.Op(m.Batch.GroupOp[g])
				for range m.Batch.GroupRows[g] {
					for range op.Images() { // an update has two: before, after
						if payload, err = layouts[schema].Split(cells[schema], payload, m.Batch.GroupFlags[g] != 0); err != nil {
							log.Fatal(err)
						}
					}
					fmt.Printf("%c %d\n", op, cells[schema][0].Int())
				}
			}
			// Once the rows are safe: m.Batch.Checkpoint.Token is where to resume.
			if err := stream.Ack(m.Batch.Seq); err != nil {
				log.Fatal(err)
			}
		}
		stream.Release(m)
	}
}
