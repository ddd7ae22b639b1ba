package main

import "rapport.example/internal/server"

type openapiCmd struct {
	API    string `arg:"" enum:"track,app,pipelines,admin" help:"track, app, pipelines or admin."`
	Server string `help:"The server's address in the document. Default: ${default}." default:"http://127.0.0.1:8080" env:"RAPPORT_SERVER"`
}

// Run prints a document without asking a server.
func (c *openapiCmd) Run(a *app) error {
	doc, err := server.OpenAPI(c.API, c.Server)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(doc, '\n'))
	return err
}
