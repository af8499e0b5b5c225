"""A JSON schema of the parts of Kubernetes's API that the examples use; any other field is wrong.

Written after the API reference of batch/v1 and v1; it says what is required and of which type.
"""

TEXT, NUMBER, TRUTH = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(m|Ki|Mi|Gi|Ti)?$"}


def fields(required=(), **properties):
    """Returns the schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def several(schema):
    return {"type": "array", "items": schema, "minItems": 1}


AMOUNTS = fields(cpu=QUANTITY, memory=QUANTITY)
CONTAINER = fields(
    ["name", "image"],
    name=NAME,
    image=TEXT,
    command=several(TEXT),
    args=several(TEXT),
    env=several(fields(["name", "value"], name=TEXT, value=TEXT)),
    envFrom=several(fields(["secretRef"], secretRef=fields(["name"], name=NAME))),
    securityContext=fields(
        allowPrivilegeEscalation=TRUTH, capabilities=fields(["drop"], drop=several(TEXT))
    ),
    resources=fields(requests=AMOUNTS, limits=AMOUNTS),
    volumeMounts=several(fields(["name", "mountPath"], name=NAME, mountPath=TEXT)),
)
POD = fields(
    ["containers", "restartPolicy"],
    restartPolicy={"enum": ["OnFailure", "Never"]},
    terminationGracePeriodSeconds=NUMBER,
    automountServiceAccountToken=TRUTH,
    securityContext=fields(
        runAsNonRoot=TRUTH,
        runAsUser=NUMBER,
        fsGroup=NUMBER,
        seccompProfile=fields(["type"], type={"enum": ["RuntimeDefault"]}),
    ),
    initContainers=several(CONTAINER),
    containers=several(CONTAINER),
    volumes=several(fields(["name", "emptyDir"], name=NAME, emptyDir=fields())),
)
METADATA = fields(["name"], name=NAME)
JOB = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "batch/v1"},
    kind={"const": "Job"},
    metadata=METADATA,
    spec=fields(
        ["template"],
        completionMode={"enum": ["Indexed", "NonIndexed"]},
        completions=NUMBER,
        parallelism=NUMBER,
        backoffLimit=NUMBER,
        template=fields(["spec"], spec=POD),
    ),
)
SECRET = fields(
    ["apiVersion", "kind", "metadata", "stringData"],
    apiVersion={"const": "v1"},
    kind={"const": "Secret"},
    metadata=METADATA,
    type={"const": "Opaque"},
    stringData={"type": "object", "additionalProperties": TEXT},
)
SCHEMAS = {"Job": JOB, "Secret": SECRET}
