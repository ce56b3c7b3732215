// The layer for models of TensorFlow.js: its own BatchNormalization, with the arithmetic replaced.
import { assertOption, assertOptionNames, type Backend, BatchNorm, isBackend, refuse } from '@batchnorm/core-api';
import { serialization, type Tensor, tensor1d, tidy } from '@tensorflow/tfjs-core';
import { type LayerVariable, layers, type Shape } from '@tensorflow/tfjs-layers';
import { normalize } from './operation.js';

/** What `tf.layers.batchNormalization` takes: axis, momentum, epsilon, scale, center, initialisers and the like. */
export type BatchNormArguments = NonNullable<Parameters<typeof layers.batchNormalization>[0]>;

/** A class of layers on one backend. */
export interface BatchNormLayer {
  new (args?: BatchNormArguments): layers.Layer;
  readonly className: string;
  /** As of every layer class: TensorFlow.js calls it when it loads a model. */
  fromConfig<T extends serialization.Serializable>(
    cls: serialization.SerializableConstructor<T>,
    config: serialization.ConfigDict,
  ): T;
}

/** What `registerBatchNorm` may be told. */
export interface RegisterOptions {
  /**
   * Under which name models are saved with these layers, and loaded. With 'BatchNormalization' they take the place of
   * TensorFlow.js's own in every model that is loaded from now on. A name of any other class that is registered with
   * TensorFlow.js, such as 'Dense', is refused. Default 'BatchNorm'.
   */
  readonly className?: string;
}

/** The weights of a layer, in the order of Keras. */
interface Variables {
  readonly gamma: LayerVariable | undefined;
  readonly beta: LayerVariable | undefined;
  readonly movingMean: LayerVariable;
  readonly movingVariance: LayerVariable;
}

/**
 * Makes a class of layers that compute on `backend`, and registers it with TensorFlow.js, so that models can be loaded
 * with it. Arguments, weights and config are those of `tf.layers.batchNormalization`, and so is what `trainable` does.
 * Whoever made the backend disposes it, after the layers.
 *
 * Errors: `INVALID_OPTION`; `UNSUPPORTED` for a backend that is not `capabilities.synchronous`, because TensorFlow.js
 * does not wait. Errors of a layer: `INVALID_OPTION` when it is built; those of `BatchNorm.forward` when it is called.
 */
export function registerBatchNorm(backend: Backend, options: RegisterOptions = {}): BatchNormLayer {
  if (!isBackend(backend)) refuse('INVALID_OPTION', 'what is no backend', 'one, such as createJsBackend()');
  if (backend.capabilities.synchronous !== true) {
    refuse('UNSUPPORTED', `backend '${backend.name}'`, 'one whose `capabilities.synchronous` holds');
  }
  assertOptionNames(options, ['className']);
  const { className = 'BatchNorm' } = options;
  assertOption('className', className, [
    (value) => typeof value === 'string' && /^[A-Za-z][A-Za-z0-9]*$/.test(value),
    'a name of letters and digits',
  ]);
  const Original = tfjsLayer();
  assertReplaceable(className, Original);

  class Layer extends Original {
    static override className: string = className;
    #batchNorm!: BatchNorm;
    #variables!: Variables;

    override build(inputShape: Shape | Shape[]): void {
      const { axis, momentum, epsilon, scale, center } = this.getConfig() as unknown as Config;
      const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as Shape;
      const numFeatures = shape.at(axis);
      // Before there are weights. What TensorFlow.js says of other shapes, it says itself.
      if (typeof numFeatures === 'number') {
        this.#batchNorm = new BatchNorm({ backend, numFeatures, axis, momentum, epsilon, scale, center });
      }
      super.build(inputShape);
      // Later the order depends on what is trainable.
      const weights = [...this.weights];
      const [gamma, beta] = [scale ? weights.shift() : undefined, center ? weights.shift() : undefined];
      const [movingMean, movingVariance] = weights as [LayerVariable, LayerVariable];
      this.#variables = { gamma, beta, movingMean, movingVariance };
    }

    override call(inputs: Tensor | Tensor[], { training }: { readonly training?: boolean | null } = {}): Tensor {
      return tidy(() => {
        const x = Array.isArray(inputs) ? inputs[0]! : inputs;
        const layer = this.#batchNorm;
        const { gamma, beta, movingMean, movingVariance } = this.#variables;
        if (gamma) layer.gamma = gamma.read().dataSync<'float32'>();
        if (beta) layer.beta = beta.read().dataSync<'float32'>();
        layer.runningMean = movingMean.read().dataSync<'float32'>();
        layer.runningVariance = movingVariance.read().dataSync<'float32'>();
        const y = normalize(layer, x, { gamma: gamma?.read(), beta: beta?.read() }, Boolean(training));
        if (training) {
          movingMean.write(tensor1d(Float32Array.from(layer.runningMean)));
          movingVariance.write(tensor1d(Float32Array.from(layer.runningVariance)));
        }
        return y;
      });
    }

    protected override disposeWeights(): number {
      void this.#batchNorm.dispose();
      return super.disposeWeights();
    }
  }
  serialization.registerClass(Layer);
  return Layer;
}

interface Config {
  readonly axis: number;
  readonly momentum: number;
  readonly epsilon: number;
  readonly scale: boolean;
  readonly center: boolean;
}

/** Errors: `INVALID_OPTION` for the name of a class that is neither `Original` nor made of it, as those here are. */
function assertReplaceable(className: string, Original: BatchNormLayer): void {
  const { classNameMap } = serialization.SerializationMap.getMap();
  if (!Object.hasOwn(classNameMap, className)) return;
  const [registered] = classNameMap[className]!;
  if ((registered as object) === Original || registered.prototype instanceof Original) return;
  refuse('INVALID_OPTION', `className '${className}', which TensorFlow.js has another class by`, 'a name of its own');
}

/** The class of TensorFlow.js, which it does not export. The name keeps its counter of unnamed layers as it is. */
function tfjsLayer(): BatchNormLayer {
  return layers.batchNormalization({ name: 'batch_normalization' }).constructor as BatchNormLayer;
}
