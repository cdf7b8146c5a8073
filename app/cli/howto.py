"""HOWTO.txt of a package of evidence: how to check all of it without this software."""

from app.cli.package import SEAL_BYTES

TEXT = f"""\
How to check this package without the software that made it
===========================================================

You need openssl 1.1.1 or newer, sha256sum, the usual tools of a shell, and Python 3
or any other language with SHA-256. Nothing is fetched from anywhere. Put
package.zip into an empty directory and unpack it there:

    python3 -m zipfile -e package.zip .

What is in it

    checkpoint      what was signed: whose job, number of references, root of the tree
    leaves.ndjson   one line for each reference, in the order of submission
    report.yaml     the report of the job
    keys            the public keys of the service: DO NOT TRUST THEM, see step 2
    checkpoint.tsr  when it was signed, said by somebody else (not in every package)
    audit.ndjson    what was done to the job, when and by whom (not in every package)


1. The package is as it was written

Its last {SEAL_BYTES} bytes are the SHA-256 of all others. This finds damage, not fraud:

    head -c -{SEAL_BYTES} package.zip | sha256sum
    tail -c {SEAL_BYTES} package.zip


2. The checkpoint was signed by the key that you know

A key looks like <name>+<8 hex digits>+<base64>. Take the one that the operator gave
you when the archive was set up, or that was published, not the one of this package:
who can change the package can change that too. Write it into the file key. These
lines take the one from the package whose 8 hex digits stand in the signature:

    id=$(sed -n '$p' checkpoint | sed 's/^.* //' | base64 -d | head -c 4 | od -An -v -tx1 | tr -d ' \\n')
    grep -F "+$id+" keys > key

The base64 is one byte 1 and the 32 bytes of an Ed25519 public key. Openssl wants 12
bytes in front of these:

    (printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'; cut -d+ -f3- key |
        tr -d '\\n' | base64 -d | tail -c 32) > key.der

What is signed are the lines before the empty one, with their line breaks. The base64
of the line behind it is 4 bytes that name the key, and 64 bytes of signature:

    sed '/^$/,$d' checkpoint > signed
    sed -n '$p' checkpoint | sed 's/^.* //' | base64 -d | tail -c 64 > signature
    openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in signed -sigfile signature

It must say "Signature Verified Successfully". The first line of signed is the name
of the key and jobs/<id of the job>. The second is the number of references, the
third the root of the tree over them, then follow the hash of the submission and the
result of the job.


3. The leaves are those that were signed

The tree is the one of RFC 9162 (Certificate Transparency): the hash of a leaf is
SHA-256 over a byte 0 and its line, that of a node SHA-256 over a byte 1 and both
hashes below it. This program prints number and root of the leaves:

    cat > root.py << 'END'
    import base64, hashlib
    stack, count = [], 0
    for line in open("leaves.ndjson", "rb"):
        hash, height, count = hashlib.sha256(b"\\0" + line[:-1]).digest(), 0, count + 1
        while stack and stack[-1][1] == height:
            hash, height = hashlib.sha256(b"\\1" + stack.pop()[0] + hash).digest(), height + 1
        stack.append((hash, height))
    root = stack.pop()[0]
    while stack:
        root = hashlib.sha256(b"\\1" + stack.pop()[0] + root).digest()
    print(count)
    print(base64.b64encode(root).decode())
    END
    python3 root.py > computed
    sed -n '2,3p' signed > expected
    cmp computed expected && echo "the leaves are those that were signed"

So every reference of the job is there, none was added, and what each line says is
what was said when it was signed. One leaf can be hashed by hand, here the first:

    (printf '\\000'; sed -n 1p leaves.ndjson | tr -d '\\n') | sha256sum


4. The objects are those of the leaves

A leaf names bucket, key and version of the object, and the SHA-256 of its content.
Whoever may read the bucket gets that version and hashes it, with Amazon's tool:

    # aws s3api get-object --bucket B --key K --version-id V object && sha256sum object

The lock of that version must not end before retainUntil:

    # aws s3api get-object-retention --bucket B --key K --version-id V


5. The report says what the leaves say

The references of report.yaml are in the same order as the leaves, with the same id,
version and state, and the same message where they failed. What stands above them
(who started the job, and when) is not in the tree; it is in the audit log.


6. It was signed at the time that somebody else says

Where there is a checkpoint.tsr, it is a timestamp (RFC 3161) over the file
checkpoint. With the certificate of the authority in tsa.pem:

    # openssl ts -verify -data checkpoint -in checkpoint.tsr -CAfile tsa.pem


7. What was done to the job, and by whom

Each line of audit.ndjson, where there is one, has an entry of the audit log of the
service (leaf), its number (index), the hashes that lead from it to the root, and the
signed head of the log (checkpoint). The signature is checked as in step 2; the first
line is the name of the key and audit. This program prints the entries, and ok where
an entry is in the tree whose root was signed:

    cat > entries.py << 'END'
    import base64, hashlib, json, os
    for line in open("audit.ndjson", "rb") if os.path.exists("audit.ndjson") else ():
        proof = json.loads(line)
        size, root = proof["checkpoint"].split("\\n")[1:3]
        place, last = proof["index"], int(size) - 1
        hash = hashlib.sha256(b"\\0" + proof["leaf"].encode()).digest()
        for other in map(base64.b64decode, proof["hashes"]):
            if place % 2 or place == last:
                hash = hashlib.sha256(b"\\1" + other + hash).digest()
                while place and not place % 2:
                    place, last = place // 2, last // 2
            else:
                hash = hashlib.sha256(b"\\1" + hash + other).digest()
            place, last = place // 2, last // 2
        good = last == 0 and base64.b64encode(hash).decode() == root
        print("ok" if good else "WRONG", proof["leaf"])
    END
    python3 entries.py


What this does not prove

That the source told the truth, and that the objects are still there: step 4 does.
"""
