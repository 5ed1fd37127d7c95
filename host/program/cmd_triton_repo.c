/* cmd_triton_repo.c — `f5tts triton-repo`: the folder of models that Triton Inference Server is started with. */
#include <stdio.h>
#include <stdlib.h>

#include "host/api/f5tts.h"
#include "host/program/cli.h"
#include "host/program/model_file.h"
#include "host/program/model_settings.h"
#include "host/program/speech_options.h"
#include "host/program/triton_repository.h"

/* The solver's steps and method are `given`, or what the model asks for. */
static int make(const cli_command *command, triton_repository *r, speech_options *given, const char *named,
                const char *folder) {
    char *model = NULL;
    f5_error error = {0};
    const model_wish wish = {.model = named};
    f5_status status = model_file(&wish, command->program, false, &model, &error);
    r->model = model;
    if (status == F5_OK) status = speech_options_of_model(given, model, false, &error);
    r->nfe_step = given->nfe_step;
    r->method = method_names[given->method];
    if (status == F5_OK) status = triton_repository_make(r, folder, &error);
    free(model);
    if (status != F5_OK) return cli_failure(command, "%s", error.message);
    printf("%s: models f5_tts and f5_tts_stream\n"
           "  tritonserver --model-repository=%s --backend-directory=PREFIX/lib/f5tts/triton-backends\n",
           folder, folder);
    return CLI_EXIT_OK;
}

int cmd_triton_repo(int argc, char **argv) {
    f5_open_params open;
    f5_open_params_init(&open);
    triton_repository r = {.device = "auto",
                           .instances = 16,
                           .waiting = 64,
                           .max_frames = open.max_frames,
                           .max_batch = open.max_batch,
                           .text_bytes = 16384,
                           .first_chunk = 1.5f};
    const char *named = NULL, *folder = NULL;
    speech_options solver = {.nfe_step = 32};
    int32_t given = 0;
    const cli_option options[] = {
        {"model", "m", CLI_STRING, &named, .argument = "FILE.f5", .help = "the model that speaks; it is copied",
         .usual = "the voice that comes with it", .kind = CLI_MODEL},
        {"device", NULL, CLI_STRING, &r.device, .argument = "DEVICE", .help = "auto, cpu, cuda or cuda:1"},
        {"gpus", NULL, CLI_STRING, &r.gpus, .argument = "LIST", .help = "an engine on each of these: 0,1",
         .usual = "one engine, on the device"},
        {"precision", NULL, CLI_STRING, &r.precision, .argument = "TYPE", .help = "of the matrices",
         .usual = "fp16 on a GPU, fp32 on a CPU", .words = "fp32|fp16|bf16|int8"},
        {"vocoder_precision", NULL, CLI_STRING, &r.vocoder_precision, .argument = "TYPE",
         .help = "of the vocoder's; 16 bits: BigVGAN, MB-iSTFT on a GPU", .usual = "fp32", .words = "fp32|fp16|bf16"},
        {"instances", NULL, CLI_INT, &r.instances, .min = 1, .max = 256, .argument = "N",
         .help = "that are spoken at a time, by each engine and model", .unit = "requests"},
        {"waiting", NULL, CLI_INT, &r.waiting, .min = 1, .max = 65536, .argument = "N",
         .help = "that may wait beside them; more are answered 503", .unit = "requests"},
        {"nfe_step", NULL, CLI_INT, &solver.nfe_step, .min = 1, .max = 64, .argument = "N",
         .given = &solver.solver_given, .usual = "32, or what the model asks for",
         .help = "of the solver, for requests that do not say", .unit = "steps"},
        {"method", NULL, CLI_CHOICE, &solver.method, .argument = "euler|midpoint|ab2", .given = &solver.solver_given,
         .help = "the solver, for requests that do not say"},
        {"first_chunk", NULL, CLI_FLOAT, &r.first_chunk, .min = -1, .max = 22, .argument = "S",
         .help = "of the first piece that f5_tts_stream sends, about, so that it comes early; 0: as the others",
         .unit = "seconds"},
        {"text_bytes", NULL, CLI_INT, &r.text_bytes, .min = 1, .max = 1 << 20, .argument = "N",
         .help = "of a request's text", .unit = "bytes"},
        {"max_frames", NULL, CLI_INT, &r.max_frames, .min = 64, .max = 1 << 20, .argument = "N",
         .help = "mel frames in one batch, recordings included", .unit = "frames"},
        {"max_batch", NULL, CLI_INT, &r.max_batch, .min = 1, .max = 64, .argument = "N",
         .help = "pieces of speech in one batch", .unit = "pieces"},
        {"threads", NULL, CLI_INT, &r.threads, .min = 0, .max = 1024, .argument = "N", .help = "that compute, on a CPU",
         .unit = "threads", .usual = "as many as there are CPUs"},
        {"languages", NULL, CLI_STRING, &r.languages, .argument = "LIST", .help = "that requests may normalize",
         .usual = "en,zh"},
        {0}};
    const cli_command command = {
        .program = "f5tts triton-repo",
        .usage = "DIR [--model FILE.f5] [options]",
        .summary = "Makes a model repository for Triton Inference Server, with the models f5_tts, whose tensors are "
                   "those of upstream's, and f5_tts_stream, which sends sound as it is made.\n"
                   "\n"
                   "DIR appears whole or not at all. One that this command has made is replaced; anything else that "
                   "is there is refused.\n",
        .options = options,
        .positional = &folder,
        .max_positional = 1,
        .n_positional = &given,
        .positional_kind = CLI_FOLDER,
        .examples = "f5tts triton-repo models --model v1_base.f5 --gpus 0,1\n"};
    cli_outcome outcome = cli_parse(&command, argc, argv);
    if (outcome != CLI_RUN) return cli_exit_code(outcome);
    if (given == 0) return cli_usage_error(&command, "which DIR?");
    return make(&command, &r, &solver, named, folder);
}
