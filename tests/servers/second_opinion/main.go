// Second opinion: reads one JSON object a line, verifies it with the modules of transparency-dev and of Go's checksum
// database, and prints "ok" or the reason, one line each.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

type question struct {
	What    string   `json:"what"`
	Index   uint64   `json:"index"`
	Size    uint64   `json:"size"`
	OldSize uint64   `json:"oldSize"`
	Leaf    string   `json:"leaf"`
	Leaves  []string `json:"leaves"`
	Proof   []string `json:"proof"`
	Root    string   `json:"root"`
	OldRoot string   `json:"oldRoot"`
	Note    string   `json:"note"`
	Key     string   `json:"key"`
	Origin  string   `json:"origin"`
}

func raw(text string) []byte {
	found, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return found
}

func raws(texts []string) [][]byte {
	found := [][]byte{}
	for _, each := range texts {
		found = append(found, raw(each))
	}
	return found
}

func answer(q question) error {
	hasher := rfc6962.DefaultHasher
	switch q.What {
	case "root":
		factory := compact.RangeFactory{Hash: hasher.HashChildren}
		all := factory.NewEmptyRange(0)
		for _, each := range q.Leaves {
			if err := all.Append(hasher.HashLeaf(raw(each)), nil); err != nil {
				return err
			}
		}
		root, err := all.GetRootHash(nil)
		if err == nil && hex.EncodeToString(root) != q.Root {
			err = fmt.Errorf("the root is %x", root)
		}
		return err
	case "inclusion":
		return proof.VerifyInclusion(hasher, q.Index, q.Size, raw(q.Leaf), raws(q.Proof), raw(q.Root))
	case "consistency":
		return proof.VerifyConsistency(hasher, q.OldSize, q.Size, raws(q.Proof), raw(q.OldRoot), raw(q.Root))
	case "checkpoint":
		verifier, err := note.NewVerifier(q.Key)
		if err != nil {
			return err
		}
		found, _, _, err := log.ParseCheckpoint([]byte(q.Note), q.Origin, verifier)
		if err == nil && (found.Size != q.Size || hex.EncodeToString(found.Hash) != q.Root) {
			err = fmt.Errorf("the checkpoint is of %d leaves and %x", found.Size, found.Hash)
		}
		return err
	}
	return fmt.Errorf("unknown question %q", q.What)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var q question
		err := json.Unmarshal(lines.Bytes(), &q)
		if err == nil {
			err = answer(q)
		}
		if err != nil {
			fmt.Printf("%q\n", err.Error())
		} else {
			fmt.Println("ok")
		}
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}
