package main

import (
	"context"
	"errors"
)

// benchCmd measures a server on this machine.
type benchCmd struct {
	DatabaseURL string `name:"database-url" help:"PostgreSQL database to measure instead of SQLite; it must be empty." placeholder:"URL"`
	NATSURL     string `name:"nats-url" help:"NATS servers to use instead of the built-in log." placeholder:"URL"`
}

// Run is the command.
func (c *benchCmd) Run(ctx context.Context, a *app) error {
	return errors.New("bench: not in this build")
}
