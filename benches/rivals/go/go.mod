module ouro/benches/rivals/go

go 1.19
