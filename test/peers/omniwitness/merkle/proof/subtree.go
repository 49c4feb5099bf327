package proof

import (
	"errors"

	"github.com/transparency-dev/merkle"
)

// VerifySubtreeConsistency stands in for a function of an unpublished merkle version. The witness imports it for
// POST /sign-subtree, an endpoint that the omniwitness program does not serve; should it ever be reached, it refuses.
func VerifySubtreeConsistency(_ merkle.LogHasher, _, _, _ uint64, _ [][]byte, _, _ []byte) error {
	return errors.New("this build does not verify subtrees")
}
