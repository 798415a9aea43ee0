package cli

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/rowmesh/rowmesh/integration/harness"
)

// describe asks a server for a service by name, as grpcurl does, and returns its description with all that it needs.
func describe(t *testing.T, conn *grpc.ClientConn, service protoreflect.FullName) protoreflect.ServiceDescriptor {
	t.Helper()
	stream, err := reflection.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.CloseSend()
	ask := func(q *reflection.ServerReflectionRequest) *reflection.ServerReflectionResponse {
		if err := stream.Send(q); err != nil {
			t.Fatal(err)
		}
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if e := r.GetErrorResponse(); e != nil {
			t.Fatalf("%v: %s", q, e.ErrorMessage)
		}
		return r
	}
	found := false
	list := ask(&reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_ListServices{}})
	for _, s := range list.GetListServicesResponse().Service {
		found = found || s.Name == string(service)
	}
	if !found {
		t.Fatalf("services are %v", list.GetListServicesResponse().Service)
	}
	symbol := ask(&reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: string(service)}})
	set := &descriptorpb.FileDescriptorSet{}
	for _, b := range symbol.GetFileDescriptorResponse().FileDescriptorProto {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(b, f); err != nil {
			t.Fatal(err)
		}
		set.File = append(set.File, f)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	return serviceOf(t, files, service)
}

func serviceOf(t *testing.T, files *protoregistry.Files, name protoreflect.FullName) protoreflect.ServiceDescriptor {
	t.Helper()
	d, err := files.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		t.Fatalf("%s is a %T", name, d)
	}
	return s
}

// plainStream is a bidirectional stream of messages that are known from their description alone.
type plainStream struct {
	grpc.ClientStream
	method protoreflect.MethodDescriptor
}

func open(ctx context.Context, conn *grpc.ClientConn, s protoreflect.ServiceDescriptor, method protoreflect.Name) (*plainStream, error) {
	m := s.Methods().ByName(method)
	st, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}, fmt.Sprintf("/%s/%s", s.FullName(), method))
	return &plainStream{st, m}, err
}

// send sends a message that is given as JSON.
func (s *plainStream) send(text string) error {
	m := dynamicpb.NewMessage(s.method.Input())
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		return err
	}
	return s.SendMsg(m)
}

// answer is a message of the server, as far as this client looks at it.
type answer struct {
	Opened *struct{ Source, Flavor string }
	Schema *struct {
		SchemaID uint32 `json:"schemaId"`
		Database string
		Table    string
		Columns  []struct{ Name, Kind string }
	}
	Batch *struct {
		Seq         string
		Payload     string
		GroupSchema []uint32 `json:"groupSchema"`
		GroupOp     string   `json:"groupOp"`
		GroupRows   []uint32 `json:"groupRows"`
		Checkpoint  struct {
			Token          string
			TransactionEnd bool `json:"transactionEnd"`
		}
	}
}

func (s *plainStream) receive() (answer, error) {
	m := dynamicpb.NewMessage(s.method.Output())
	if err := s.RecvMsg(m); err != nil {
		return answer{}, err
	}
	b, err := protojson.Marshal(m)
	if err != nil {
		return answer{}, err
	}
	var a answer
	return a, json.Unmarshal(b, &a)
}

// TestPlainClient reads rows with nothing but what the server says of itself and proto/README.md: no generated code, no codec of ours.
func TestPlainClient(t *testing.T) {
	addr := harness.Addr(t, harness.MySQL)
	c := database(t, addr, "cli_plain", "create table cli_plain.t (id int primary key, v varchar(20), n bigint)")
	m := harness.Start(t, harness.Size{Coordinators: 1, Capturers: 1, Publishers: 1}, nil)
	m.Create(t, "plain", m.Connector(harness.MySQL, addr, "cli-plain", "cli_plain", nil))
	conn, err := grpc.NewClient(m.Members["capturer-1"].GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	service := describe(t, conn, "rowmesh.capture.v1.CaptureService")

	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	var s *plainStream
	harness.Await(t, 20*time.Second, "the source to be assigned", func() error {
		if s, err = open(ctx, conn, service, "Subscribe"); err != nil {
			return err
		}
		if err := s.send(`{"open":{"consumer":"plain","source":"` + addr + `","start":{"latest":true},"tables":{"includeTables":["cli_plain\\.t"]}}}`); err != nil {
			return err
		}
		a, err := s.receive()
		if err == nil && a.Opened == nil {
			err = fmt.Errorf("the first message is %+v", a)
		}
		return err
	})
	run(t, c, "begin", "insert into cli_plain.t values (1,'een',null),(-2,'twee',300)", "update cli_plain.t set n=7 where id=1", "commit")
	rows, token := readPlain(t, s, 3)
	want := []string{"c [1 een NULL]", "c [-2 twee 300]", "u [1 een NULL] [1 een 7]"}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}

	// The token is where another stream goes on, after this one has ended in the middle of everything.
	cancel()
	run(t, c, "delete from cli_plain.t where id=-2")
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if s, err = open(ctx, conn, service, "Subscribe"); err != nil {
		t.Fatal(err)
	}
	if err := s.send(`{"open":{"consumer":"plain","source":"plain","start":{"token":"` + token + `"},"tables":{"includeTables":["cli_plain\\.t"]}}}`); err != nil {
		t.Fatal(err)
	}
	rows, _ = readPlain(t, s, 1)
	if d := cmp.Diff([]string{"d [-2 twee 300]"}, rows); d != "" {
		t.Error(d)
	}
}

// readPlain reads n rows and returns them with the last token of a transaction end. It acknowledges batches and gives their bytes back as credit.
func readPlain(t *testing.T, s *plainStream, n int) (rows []string, token string) {
	t.Helper()
	kinds := map[uint32][]string{}
	images := map[byte]int{'c': 1, 'r': 1, 'd': 1, 'u': 2}
	for len(rows) < n {
		a, err := s.receive()
		if err != nil {
			t.Fatal(err)
		}
		if a.Schema != nil {
			for _, col := range a.Schema.Columns {
				kinds[a.Schema.SchemaID] = append(kinds[a.Schema.SchemaID], col.Kind)
			}
		}
		if a.Batch == nil {
			continue
		}
		payload, err := base64.StdEncoding.DecodeString(a.Batch.Payload)
		if err != nil {
			t.Fatal(err)
		}
		ops, err := base64.StdEncoding.DecodeString(a.Batch.GroupOp)
		if err != nil {
			t.Fatal(err)
		}
		rest := payload
		for g, op := range ops {
			for range a.Batch.GroupRows[g] {
				text := string(op)
				for range images[op] {
					var image []string
					image, rest = splitPlain(t, kinds[a.Batch.GroupSchema[g]], rest)
					text += fmt.Sprint(" ", image)
				}
				rows = append(rows, text)
			}
		}
		if len(rest) != 0 {
			t.Errorf("%d bytes are left of a payload", len(rest))
		}
		if a.Batch.Checkpoint.TransactionEnd {
			token = a.Batch.Checkpoint.Token
		}
		for _, say := range []string{`{"ack":{"seq":"` + a.Batch.Seq + `"}}`, fmt.Sprintf(`{"credit":{"bytes":"%d"}}`, len(payload))} {
			if err := s.send(say); err != nil {
				t.Fatal(err)
			}
		}
	}
	return rows, token
}

// splitPlain reads one image without a presence bitmap: the null bitmap, then the cells that are not NULL.
func splitPlain(t *testing.T, kinds []string, b []byte) (cells []string, rest []byte) {
	t.Helper()
	nulls := b[:(len(kinds)+7)/8]
	b = b[len(nulls):]
	for i, kind := range kinds {
		if nulls[i/8]>>(i%8)&1 == 1 {
			cells = append(cells, "NULL")
			continue
		}
		switch kind {
		case "KIND_INT":
			v, n := binary.Varint(b) // zigzag
			cells, b = append(cells, fmt.Sprint(v)), b[n:]
		case "KIND_STRING":
			size, n := binary.Uvarint(b)
			cells, b = append(cells, string(b[n:n+int(size)])), b[n+int(size):]
		default:
			t.Fatalf("column of kind %s", kind)
		}
	}
	return cells, b
}
