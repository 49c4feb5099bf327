package keysutil

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"
)

// RestorePolicy answers as the server's own sdk does: with the name under which the key was restored.
func (lm *LockManager) RestorePolicy(ctx context.Context, storage logical.Storage, name, backup string, force bool) (string, error) {
	return name, lm.restorePolicy(ctx, storage, name, backup, force)
}
