"""A transform for rowmesh in Python: it masks the local part of addresses in the column that the option "column" names.

    python -m grpc_tools.protoc -I PROTO --python_out=. --grpc_python_out=. rowmesh/transform/v1/transform_service.proto
    python mask.py [PORT]

A connector uses it by

    "transforms": "mask",
    "transforms.mask.type": "rowmesh.transforms.Foreign",
    "transforms.mask.address": "127.0.0.1:PORT",
    "transforms.mask.options.column": "email"
"""

import json
import sys
from concurrent import futures

import grpc

from rowmesh.transform.v1 import transform_service_pb2 as pb
from rowmesh.transform.v1 import transform_service_pb2_grpc as rpc


class Mask(rpc.TransformServiceServicer):
    def Describe(self, request, context):
        if "column" not in request.options:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "options.column is missing: name the column to mask")
        return pb.DescribeResponse(contract=1, name="mask", version="1.0", max_records=200)

    def Transform(self, request, context):
        column = request.options["column"]
        return pb.TransformResponse(results=[self.result(record, column) for record in request.records])

    def result(self, record, column):
        if not record.HasField("value"):  # a tombstone
            return pb.Result(unchanged=pb.Unchanged())
        event = json.loads(record.value.json)
        if event.get("op") == "t":
            return pb.Result(drop=pb.Drop())
        changed = False
        for image in (event.get("before"), event.get("after")):
            if not image or image.get(column) is None:
                continue
            local, at, domain = image[column].partition("@")
            if not at:
                return pb.Result(failure=pb.Failure(message="%s %r is no address" % (column, image[column])))
            image[column] = "***@" + domain
            changed = True
        if not changed:
            return pb.Result(unchanged=pb.Unchanged())
        # All but the value goes back as it came; the schema is the one that it came with.
        masked = pb.Record()
        masked.CopyFrom(record)
        masked.key.Clear()
        if record.HasField("key"):
            masked.key.same = True
        else:
            masked.ClearField("key")
        masked.value.json = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        return pb.Result(record=masked)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    rpc.add_TransformServiceServicer_to_server(Mask(), server)
    port = server.add_insecure_port("127.0.0.1:" + (sys.argv[1] if len(sys.argv) > 1 else "0"))
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
