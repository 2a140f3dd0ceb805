// dotnet new console, then: dotnet add package Microsoft.ML.OnnxRuntime; dotnet add package SixLabors.ImageSharp
// dotnet run photo.jpg        (with model.onnx beside it)
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.PixelFormats;
using SixLabors.ImageSharp.Processing;

using var session = new InferenceSession("model.onnx");
var labels = JsonSerializer.Deserialize<string[]>(session.ModelMetadata.CustomMetadataMap["labels"])!;

using var read = Image.Load<Rgba32>(args[0]);
read.Mutate(context => context.AutoOrient().BackgroundColor(Color.White)); // upright; white behind what is transparent
if (Math.Max(read.Width, read.Height) > 1024)
    read.Mutate(context => context.Resize(new ResizeOptions { Size = new Size(1024, 1024), Mode = ResizeMode.Max }));
using var picture = read.CloneAs<Rgb24>();
var pixels = new byte[picture.Height * picture.Width * 3];
picture.CopyPixelDataTo(pixels);
var image = new DenseTensor<byte>(pixels, new[] { 1, picture.Height, picture.Width, 3 }); // 0..255

var inputs = new List<NamedOnnxValue> { NamedOnnxValue.CreateFromTensor("image", image) };
using var answers = session.Run(inputs);
var probabilities = answers.First(answer => answer.Name == "probabilities").AsEnumerable<float>().ToArray();
var best = Array.IndexOf(probabilities, probabilities.Max());
Console.WriteLine($"{labels[best]} {Math.Min(99.9, 100 * probabilities[best]):F1} %");
